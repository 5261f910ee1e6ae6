// The Python functions of the kernels. They return a loss, or None where the closed forms have to
// compute it: for tensors other than plain float32 or float64 on the CPU, under a transformation, a
// trace or a mode, for derivatives with respect to more than the logits, and for wrong arguments,
// about which the Python code raises.
#include "node.h"

#include <ATen/core/Tensor.h>
#include <ATen/PythonTorchFunctionTLS.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/jit/frontend/tracer.h>

namespace losses {

thread_local int closed_forms_only = 0;

namespace {

// losses.kernels.double_backward.differentiable_gradient.
PyObject* double_backward = nullptr;

// The arguments of a Python function, converted if a kernel supports them.
class Arguments {
 public:
  Arguments(PyObject* const* given, Py_ssize_t count) : given_(given), count_(count) {}

  // Whether no mode, transformation or trace intercepts operations.
  static bool is_plain_eager() {
    return closed_forms_only == 0 && !at::impl::torch_function_mode_enabled() &&
           !c10::impl::TorchDispatchModeTLS::any_modes_set() &&
           !c10::impl::tls_is_dispatch_key_included(
               c10::DispatchKey::FuncTorchDynamicLayerFrontMode) &&
           !torch::jit::tracer::isTracing();
  }

  // Reads the tensor at k, undefined for None; false if it is not a plain tensor.
  bool tensor(Py_ssize_t k, Tensor& to) const {
    if (k >= count_ || given_[k] == Py_None) return true;
    if (!THPVariable_CheckExact(given_[k])) return false;
    to = THPVariable_Unpack(given_[k]);
    static const auto plain_keys = c10::DispatchKeySet(
        {c10::DispatchKey::CPU, c10::DispatchKey::ADInplaceOrView, c10::DispatchKey::AutogradCPU,
         c10::DispatchKey::AutocastCPU});
    if ((to.key_set() | plain_keys) != plain_keys || to.layout() != at::kStrided) return false;
    const auto* meta = torch::autograd::impl::get_autograd_meta(to);
    return !meta || !meta->fw_grad_;
  }

  // Reads the call's tensors, from k on.
  bool tensors(Py_ssize_t k, Call& to) const {
    for (Tensor& each : to.tensors)
      if (!tensor(k++, each)) return false;
    return true;
  }

  bool number(Py_ssize_t k, double& to) const {
    if (k >= count_) return false;
    to = PyFloat_CheckExact(given_[k]) ? PyFloat_AS_DOUBLE(given_[k]) : PyFloat_AsDouble(given_[k]);
    if (to == -1.0 && PyErr_Occurred()) return PyErr_Clear(), false;
    return true;
  }

  bool integer(Py_ssize_t k, int64_t& to) const {
    if (k >= count_ || !PyLong_CheckExact(given_[k])) return false;
    to = PyLong_AsLongLong(given_[k]);
    if (to == -1 && PyErr_Occurred()) return PyErr_Clear(), false;
    return true;
  }

  bool reduction(Py_ssize_t k, std::string& to) const {
    if (k >= count_ || !PyUnicode_Check(given_[k])) return false;
    for (const char* known : {"mean", "sum", "none"})
      if (PyUnicode_CompareWithASCIIString(given_[k], known) == 0) return to = known, true;
    return false;
  }

 private:
  PyObject* const* given_;
  Py_ssize_t count_;
};

// Whether a tensor other than the first requires a gradient: kernels have none.
bool needs_other_gradients(const Call& call) {
  if (!at::GradMode::is_enabled()) return false;
  for (size_t k = 1; k < call.tensors.size(); ++k)
    if (wants_gradient(call.tensors[k])) return true;
  return false;
}

// --- the functions that Python calls -------------------------------------------------------------

template <class F>
PyObject* without_gil(Call& call, const F& f) {
  Tensor loss;
  {
    // Only LossNode records the operation.
    at::AutoDispatchBelowADInplaceOrView guard;
    PyThreadState* state = PyEval_SaveThread();
    try {
      loss = f(call);
    } catch (...) {
      PyEval_RestoreThread(state);
      throw;
    }
    PyEval_RestoreThread(state);
  }
  if (!loss.defined()) Py_RETURN_NONE;
  return THPVariable_Wrap(std::move(loss));
}

// elementwise(form, input, target, weight, extra, reduction, *settings)
PyObject* elementwise_py(PyObject*, PyObject* const* given, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  const Arguments arguments(given, count);
  Call call;
  call.tensors.resize(4);
  if (!Arguments::is_plain_eager() || !arguments.integer(0, call.form) ||
      !arguments.tensors(1, call) || !arguments.reduction(5, call.reduction))
    Py_RETURN_NONE;
  for (Py_ssize_t k = 6; k < count; ++k) {
    call.settings.emplace_back();
    if (!arguments.number(k, call.settings.back())) Py_RETURN_NONE;
  }
  if (!elementwise_fits(call) || needs_other_gradients(call)) Py_RETURN_NONE;
  return without_gil(call, compute_elementwise);
  END_HANDLE_TH_ERRORS
}

// pairs(input, lists, weight, reduction, margin, power)
PyObject* pairs_py(PyObject*, PyObject* const* given, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  const Arguments arguments(given, count);
  Call call;
  call.form = PAIRS;
  call.tensors.resize(3);
  call.settings.resize(2);
  if (!Arguments::is_plain_eager() || !arguments.tensors(0, call) || !arguments.reduction(3, call.reduction) || !arguments.number(4, call.settings[0]) ||
      !arguments.number(5, call.settings[1]) || !pairs_fit(call) || needs_other_gradients(call))
    Py_RETURN_NONE;
  return without_gil(call, compute_pairs);
  END_HANDLE_TH_ERRORS
}

// cross_entropy(input, target, weight, ignore_index, reduction, label_smoothing), and nll with a
// smoothing of 0
template <int64_t Form>
PyObject* rows_py(PyObject*, PyObject* const* given, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  const Arguments arguments(given, count);
  Call call;
  call.form = Form;
  call.tensors.resize(3);
  call.settings.resize(1);
  if (!Arguments::is_plain_eager() || !arguments.tensors(0, call) || !arguments.integer(3, call.ignored) || !arguments.reduction(4, call.reduction) ||
      !arguments.number(5, call.settings[0]) || !rows_fit(call) || needs_other_gradients(call))
    Py_RETURN_NONE;
  return without_gil(call, compute_rows);
  END_HANDLE_TH_ERRORS
}

PyObject* closed_forms_py(PyObject*, PyObject* on) {
  closed_forms_only += PyObject_IsTrue(on) ? 1 : -1;
  Py_RETURN_NONE;
}

PyObject* set_double_backward_py(PyObject*, PyObject* function) {
  Py_XDECREF(double_backward);
  double_backward = Py_NewRef(function);
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"elementwise", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(elementwise_py)),
     METH_FASTCALL, nullptr},
    {"cross_entropy", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(rows_py<CROSS_ENTROPY>)),
     METH_FASTCALL, nullptr},
    {"nll", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(rows_py<NLL>)), METH_FASTCALL,
     nullptr},
    {"pairs", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(pairs_py)), METH_FASTCALL,
     nullptr},
    {"closed_forms", closed_forms_py, METH_O, nullptr},
    {"set_double_backward", set_double_backward_py, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyModuleDef module = {PyModuleDef_HEAD_INIT, "lossbench_kernels", nullptr, -1, methods,
                      nullptr, nullptr, nullptr, nullptr};

struct WithGil {
  PyGILState_STATE state = PyGILState_Ensure();
  ~WithGil() { PyGILState_Release(state); }
};

struct ClosedFormsOnly {
  ClosedFormsOnly() { ++closed_forms_only; }
  ~ClosedFormsOnly() { --closed_forms_only; }
};

}  // namespace

Tensor differentiable_gradient(const Call& call, const Tensor& upstream) {
  WithGil gil;
  ClosedFormsOnly closed;
  PyObject* tensors = PyTuple_New(static_cast<Py_ssize_t>(call.tensors.size()));
  for (size_t k = 0; k < call.tensors.size(); ++k)
    PyTuple_SET_ITEM(tensors, static_cast<Py_ssize_t>(k), THPVariable_Wrap(call.tensors[k]));
  PyObject* settings = PyTuple_New(static_cast<Py_ssize_t>(call.settings.size()));
  for (size_t k = 0; k < call.settings.size(); ++k)
    PyTuple_SET_ITEM(settings, static_cast<Py_ssize_t>(k), PyFloat_FromDouble(call.settings[k]));
  PyObject* result = PyObject_CallFunction(
      double_backward, "LNNLsN", static_cast<long long>(call.form), THPVariable_Wrap(upstream), tensors,
      static_cast<long long>(call.ignored), call.reduction.c_str(), settings);
  if (!result) throw python_error();
  Tensor gradient = THPVariable_Unpack(result);
  Py_DECREF(result);
  return gradient;
}

}  // namespace losses

PyMODINIT_FUNC PyInit_lossbench_kernels() { return PyModule_Create(&losses::module); }
