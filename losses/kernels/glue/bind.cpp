// The Python functions of the kernels. They return a loss, or None where the closed forms have to
// compute it: for tensors other than plain floating-point ones on the CPU, under a transformation, a
// trace or a mode, for derivatives with respect to more than the logits, and for wrong arguments,
// about which the Python code raises.
#include "node.h"

#include <ATen/core/Tensor.h>
#include <ATen/PythonTorchFunctionTLS.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/jit/frontend/tracer.h>

#include <memory>

namespace losses {

thread_local int closed_forms_only = 0;

namespace {

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

constexpr const char* KERNEL = "lossbench.kernel";

// Computes a call, whose tensors are `given` from 1 on.
PyObject* compute(Call& call) {
  const Compiled& compiled = call.compiled();
  if (compiled.missing || needs_other_gradients(call)) Py_RETURN_NONE;
  // Python gives this kernel what is compiled for the dtype, and calls again.
  if (!compiled.value) return PyBool_FromLong(call.dtype() == at::kDouble);
  const bool wanted = at::GradMode::is_enabled() && wants_gradient(call.tensors[0]);
  Tensor loss;
  {
    // Only LossNode records the operation.
    at::AutoDispatchBelowADInplaceOrView guard;
    PyThreadState* state = PyEval_SaveThread();
    try {
      loss = compute_value(call, wanted);
    } catch (...) {
      PyEval_RestoreThread(state);
      throw;
    }
    PyEval_RestoreThread(state);
  }
  if (!loss.defined()) Py_RETURN_NONE;
  if (wanted) attach(loss, std::move(call));
  return THPVariable_Wrap(std::move(loss));
}

// call(kernel, input, target, weight, extra, ignore_index, reduction): the loss; None where the
// closed forms compute it; True or False where `set` has to be called first, for that value of float64.
PyObject* call_py(PyObject*, PyObject* const* given, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  const Arguments arguments(given, count);
  Call call;
  call.kernel = static_cast<const Kernel*>(PyCapsule_GetPointer(given[0], KERNEL));
  if (!call.kernel) return nullptr;
  if (!Arguments::is_plain_eager() || !arguments.tensors(1, call) || !arguments.integer(5, call.ignored) ||
      !arguments.reduction(6, call.reduction) || !is_plain(call))
    Py_RETURN_NONE;
  return compute(call);
  END_HANDLE_TH_ERRORS
}

// kernel(target, takes_weight, weighted_mean, one_dtype, matrix, unit_interval, derivative); `target` is
// "elements", "distribution", "index" or "lists".
PyObject* kernel_py(PyObject*, PyObject* arguments) {
  const char* target = nullptr;
  int takes_weight = 0, weighted_mean = 0, one_dtype = 0, matrix = 0, unit_interval = 0;
  PyObject* derivative = nullptr;
  if (!PyArg_ParseTuple(arguments, "spppppO", &target, &takes_weight, &weighted_mean, &one_dtype, &matrix,
                        &unit_interval, &derivative))
    return nullptr;
  auto kernel = std::make_unique<Kernel>();
  const std::string name = target;
  kernel->target = name == "lists"          ? Target::LISTS
                   : name == "index"        ? Target::INDEX
                   : name == "distribution" ? Target::DISTRIBUTION
                                            : Target::ELEMENTS;
  kernel->takes_weight = takes_weight != 0;
  kernel->weighted_mean = weighted_mean != 0;
  kernel->one_dtype = one_dtype != 0;
  kernel->matrix = matrix != 0;
  kernel->unit_interval = unit_interval != 0;
  kernel->derivative = Py_NewRef(derivative);
  return PyCapsule_New(kernel.release(), KERNEL, nullptr);
}

// set(kernel, float64, compiled): `compiled` has the addresses of value and gradient, whether the value
// saves, and the constants; None: there is none.
PyObject* set_py(PyObject*, PyObject* arguments) {
  PyObject *capsule = nullptr, *compiled = nullptr;
  int float64 = 0;
  if (!PyArg_ParseTuple(arguments, "OpO", &capsule, &float64, &compiled)) return nullptr;
  auto* kernel = static_cast<Kernel*>(PyCapsule_GetPointer(capsule, KERNEL));
  if (!kernel) return nullptr;
  Compiled& to = float64 ? kernel->in_float64 : kernel->in_float32;
  // Another thread has been first, and may be computing with it.
  if (to.value) Py_RETURN_NONE;
  to.missing = compiled == Py_None;
  if (to.missing) Py_RETURN_NONE;
  long long value = 0, gradient = 0;
  int saves = 0;
  PyObject* constants = nullptr;
  if (!PyArg_ParseTuple(compiled, "LLpO!", &value, &gradient, &saves, &PyTuple_Type, &constants)) return nullptr;
  for (Py_ssize_t k = 0; k < PyTuple_GET_SIZE(constants); ++k)
    to.constants.push_back(PyFloat_AsDouble(PyTuple_GET_ITEM(constants, k)));
  to.saves = saves != 0;
  to.gradient = reinterpret_cast<void (*)(const Job*)>(gradient);
  to.value = reinterpret_cast<double (*)(const Job*)>(value);
  Py_RETURN_NONE;
}

PyObject* closed_forms_py(PyObject*, PyObject* on) {
  closed_forms_only += PyObject_IsTrue(on) ? 1 : -1;
  Py_RETURN_NONE;
}

PyMethodDef methods[] = {
    {"call", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(call_py)), METH_FASTCALL, nullptr},
    {"kernel", kernel_py, METH_VARARGS, nullptr},
    {"set", set_py, METH_VARARGS, nullptr},
    {"closed_forms", closed_forms_py, METH_O, nullptr},
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
  PyObject* tensors[4];
  for (size_t k = 0; k < 4; ++k)
    tensors[k] = call.tensors[k].defined() ? THPVariable_Wrap(call.tensors[k]) : Py_NewRef(Py_None);
  PyObject* result = PyObject_CallFunction(
      call.kernel->derivative, "NNNNNLs", THPVariable_Wrap(upstream), tensors[0], tensors[1], tensors[2], tensors[3],
      static_cast<long long>(call.ignored), call.reduction.c_str());
  if (!result) throw python_error();
  Tensor gradient = THPVariable_Unpack(result);
  Py_DECREF(result);
  return gradient;
}

}  // namespace losses

PyMODINIT_FUNC PyInit_lossbench_kernels() { return PyModule_Create(&losses::module); }
