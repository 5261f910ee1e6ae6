// What Python sees of the kernels: functions that return a loss, or None where the closed forms
// have to compute it: for anything but plain float32 or float64 tensors on the CPU, under a
// transformation, a trace or a mode, for derivatives by more than the logits, and for every mistake
// in the arguments, about which the Python code has something to say.
#include "node.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/PythonTorchFunctionTLS.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <sys/mman.h>
#include <torch/csrc/Exceptions.h>
#include <torch/csrc/autograd/python_variable.h>
#include <torch/csrc/jit/frontend/tracer.h>

#include "elementwise.h"
#include "likelihood.h"
#include "margin.h"
#include "softmax.h"

namespace losses {

thread_local int closed_forms_only = 0;

namespace {

// Of losses.kernels: makes a call again from the closed forms and differentiates it.
PyObject* again = nullptr;

struct Parallel {
  template <class F>
  void operator()(int64_t count, int64_t grain, const F& f) const {
    at::parallel_for(0, count, grain, f);
  }
};

// What a Python function was given, and whether a kernel can serve it.
class Arguments {
 public:
  Arguments(PyObject* const* given, Py_ssize_t count) : given_(given), count_(count) {}

  // Whether nothing that intercepts operations is active.
  static bool undisturbed() {
    return closed_forms_only == 0 && !at::impl::torch_function_mode_enabled() &&
           !c10::impl::TorchDispatchModeTLS::any_modes_set() &&
           !c10::impl::tls_is_dispatch_key_included(
               c10::DispatchKey::FuncTorchDynamicLayerFrontMode) &&
           !torch::jit::tracer::isTracing();
  }

  // The tensor at k, which is undefined for None; false if it is none of the plain ones.
  bool tensor(Py_ssize_t k, Tensor& to) const {
    if (k >= count_ || given_[k] == Py_None) return true;
    if (!THPVariable_CheckExact(given_[k])) return false;
    to = THPVariable_Unpack(given_[k]);
    static const auto usual = c10::DispatchKeySet(
        {c10::DispatchKey::CPU, c10::DispatchKey::ADInplaceOrView, c10::DispatchKey::AutogradCPU,
         c10::DispatchKey::AutocastCPU});
    if ((to.key_set() | usual) != usual || to.layout() != at::kStrided) return false;
    const auto* meta = torch::autograd::impl::get_autograd_meta(to);
    return !meta || !meta->fw_grad_;
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

bool floating(const Tensor& x) {
  return x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble;
}

bool wants_gradient(const Tensor& x) { return x.defined() && x.requires_grad(); }

// Whether autograd asks for derivatives that the kernels do not have.
bool by_others(const Call& call) {
  if (!at::GradMode::is_enabled()) return false;
  for (size_t k = 1; k < call.tensors.size(); ++k)
    if (wants_gradient(call.tensors[k])) return true;
  return false;
}

template <class F>
auto by_dtype(const Tensor& x, const F& f) {
  return x.scalar_type() == at::kFloat ? f(float()) : f(double());
}

template <class T>
const T* data_of(const Tensor& x) {
  return x.defined() ? x.const_data_ptr<T>() : nullptr;
}

// Whether f holds for every number of x.
template <class F>
bool all_of(const Tensor& x, const F& f) {
  return by_dtype(x, [&](auto zero) {
    using T = decltype(zero);
    const T* data = x.const_data_ptr<T>();
    const int64_t count = x.numel();
    int64_t wrong = 0;
#pragma omp simd reduction(+ : wrong)
    for (int64_t i = 0; i < count; ++i) wrong += f(data[i]) ? 0 : 1;
    return wrong == 0;
  });
}

// Whether a number is negative, or none.
bool any_negative(const Tensor& x) {
  return !all_of(x, [](auto w) { return w >= 0; });
}

bool in_unit_interval(const Tensor& x) {
  return all_of(x, [](auto p) { return p >= 0 && p <= 1; });
}

// Memory for gradients. Its pages are touched here for the first time, which for a large tensor
// takes longer than all else; the kernel is asked for large pages, of which there are fewer.
Tensor room_like(const Tensor& z) {
  Tensor room = at::empty_like(z);
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t page = uintptr_t(1) << 21;
  const auto begin = reinterpret_cast<uintptr_t>(room.data_ptr());
  const uintptr_t from = (begin + page - 1) & ~(page - 1), to = (begin + room.nbytes()) & ~(page - 1);
  if (room.nbytes() >= 4 * page) madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#endif
  return room;
}

// The result of a reduction over `sum`, or the losses themselves.
Tensor reduced(const Call& call, const Tensor& each, double sum, double divisor, const Tensor& like) {
  if (each.defined()) return each;
  Tensor loss = at::empty({}, like.options());
  const double value = call.reduction == "mean" ? sum / divisor : sum;
  by_dtype(loss, [&](auto zero) {
    using T = decltype(zero);
    *loss.mutable_data_ptr<T>() = static_cast<T>(value);
    return 0;
  });
  return loss;
}

// --- losses of single numbers --------------------------------------------------------------------

// The numbers of the forms, in the order of losses.kernels.FORMS.
template <class F>
bool with_form(int64_t form, const std::vector<double>& settings, const F& f) {
  const auto at = [&](size_t k) { return k < settings.size() ? settings[k] : 0.0; };
  switch (form) {
    case 0: return f(BceWithLogits{}), true;
    case 1: return f(WeightedBce{}), true;
    case 2: return f(Bce{}), true;
    case 3: return f(SigmoidMse{}), true;
    case 4: return f(Mse{}), true;
    case 5: return f(L1{}), true;
    case 6: return f(KlDiv{}), true;
    case 7: return f(KlDivOfLogs{}), true;
    case 8: return f(SoftMargin{}), true;
    case 9: return f(HingeEmbedding{at(0)}), true;
    case 10:
      if (at(0) == 2) return f(SigmoidFocal<2>{at(0), at(1)}), true;
      return f(SigmoidFocal<-1>{at(0), at(1)}), true;
    default: return false;
  }
}

constexpr int64_t BCE = 2, WEIGHTED_BCE = 1, FOCAL = 10;

bool fits(const Call& call) {
  const Tensor &z = call.tensors[0], &t = call.tensors[1];
  if (!z.defined() || !t.defined() || !floating(z) || t.scalar_type() != z.scalar_type() ||
      t.sizes() != z.sizes())
    return false;
  for (size_t k = 2; k < 4; ++k) {
    const Tensor& x = call.tensors[k];
    if (!x.defined()) continue;
    if (x.scalar_type() != z.scalar_type() || x.dim() > z.dim()) return false;
    for (int64_t d = 1; d <= x.dim(); ++d)
      if (x.size(-d) != 1 && x.size(-d) != z.size(-d)) return false;
  }
  // The power is taken in float64.
  return call.form != FOCAL || z.scalar_type() == at::kFloat || call.settings[0] == 2;
}

// elementwise(form, input, target, weight, third, reduction, *settings)
Tensor elementwise_of(Call& call) {
  const Tensor z = call.tensors[0].contiguous(), t = call.tensors[1].contiguous();
  const auto spread = [&](const Tensor& x) {
    return x.defined() ? x.expand(z.sizes()).contiguous() : x;
  };
  const Tensor weight = spread(call.tensors[2]), third = spread(call.tensors[3]);
  if (call.form == BCE && !(in_unit_interval(z) && in_unit_interval(t))) return {};
  if (call.form == WEIGHTED_BCE && any_negative(call.tensors[3].contiguous())) return {};
  const bool wanted = at::GradMode::is_enabled() && wants_gradient(call.tensors[0]);
  Tensor gradient = wanted ? room_like(z) : Tensor();
  Tensor each = call.reduction == "none" ? at::empty_like(z) : Tensor();
  const double divisor = call.reduction == "mean" ? static_cast<double>(z.numel()) : 1.0;
  double sum = 0;
  by_dtype(z, [&](auto zero) {
    using T = decltype(zero);
    Elements<T> data{data_of<T>(z), data_of<T>(t), data_of<T>(third), data_of<T>(weight),
                     each.defined() ? each.mutable_data_ptr<T>() : nullptr,
                     gradient.defined() ? gradient.mutable_data_ptr<T>() : nullptr,
                     z.numel(), static_cast<T>(1 / divisor)};
    with_form(call.form, call.settings,
              [&](const auto& form) { sum = elementwise(form, data, Parallel{}); });
    return 0;
  });
  Tensor loss = reduced(call, each, sum, divisor, z);
  if (wanted) attach(loss, std::move(call), std::move(gradient));
  return loss;
}

// --- cross-entropy -------------------------------------------------------------------------------

constexpr int64_t CROSS_ENTROPY = -1, NLL = -3;

struct Layout {
  Tensor z;
  int64_t outer, classes, inner;
};

// (N, C, d1, ..., dK) with the classes next to each other or d1, ..., dK so.
Layout layout_of(const Tensor& x) {
  if (x.dim() == 1) return {x.contiguous(), 1, x.size(0), 1};
  const int64_t n = x.size(0), classes = x.size(1), inner = n * classes ? x.numel() / (n * classes) : 0;
  if (x.dim() > 2 && x.movedim(1, -1).is_contiguous()) return {x, n * inner, classes, 1};
  return {x.contiguous(), n, classes, inner};
}

// The indices' common weight, or -1 if one of them is none.
template <class T>
double weight_of(const Rows<T>& rows, int64_t count) {
  double total = 0;
  int64_t kept = 0;
  for (int64_t k = 0; k < count; ++k) {
    const int64_t y = rows.index[k];
    if (y == rows.ignored) continue;
    if (y < 0 || y >= rows.classes) return -1;
    if (rows.weight) total += static_cast<double>(rows.weight[y]);
    ++kept;
  }
  return rows.weight ? total : static_cast<double>(kept);
}

bool is_distribution(const Call& call) {
  return call.tensors[1].sizes() == call.tensors[0].sizes();
}

bool rows_fit(const Call& call) {
  const Tensor &z = call.tensors[0], &t = call.tensors[1], &weight = call.tensors[2];
  if (!z.defined() || !t.defined() || !floating(z) || z.dim() == 0 || z.numel() == 0) return false;
  const int64_t classes = z.size(z.dim() == 1 ? 0 : 1);
  if (weight.defined() && (weight.scalar_type() != z.scalar_type() || weight.dim() != 1 ||
                           weight.size(0) != classes))
    return false;
  if (is_distribution(call) && call.form == NLL) return false;
  if (is_distribution(call)) return t.scalar_type() == z.scalar_type() && call.ignored < 0;
  if (!at::isIntegralType(t.scalar_type(), /*includeBool=*/false)) return false;
  if (z.dim() == 1) return t.dim() == 0;
  if (t.dim() != z.dim() - 1 || t.size(0) != z.size(0)) return false;
  return t.sizes().slice(1) == z.sizes().slice(2);
}

template <class T>
Tensor cross_entropy_of(Call& call) {
  const Layout layout = layout_of(call.tensors[0]);
  const bool soft = is_distribution(call);
  Tensor target = call.tensors[1];
  if (!soft) target = target.to(at::kLong).contiguous();
  // Where z lies as it is, its target has to lie so too.
  else if (target.strides() != layout.z.strides()) target = at::empty_like(layout.z).copy_(target);
  const Tensor weight = call.tensors[2].defined() ? call.tensors[2].contiguous() : Tensor();
  if (weight.defined() && any_negative(weight)) return {};
  const Tensor& z = layout.z;
  const bool wanted = at::GradMode::is_enabled() && wants_gradient(call.tensors[0]);
  Rows<T> rows{z.const_data_ptr<T>(), layout.outer, layout.classes, layout.inner,
               soft ? nullptr : target.const_data_ptr<int64_t>(),
               soft ? target.const_data_ptr<T>() : nullptr,
               call.ignored, data_of<T>(weight), call.settings[0], nullptr, nullptr, T(1)};
  const int64_t count = layout.outer * layout.inner;
  const double divisor = soft ? static_cast<double>(count) : weight_of(rows, count);
  if (divisor < 0) return {};
  Tensor gradient = wanted ? room_like(z) : Tensor(), each;
  if (wanted) rows.gradient = gradient.mutable_data_ptr<T>();
  if (call.reduction == "none") {
    auto sizes = z.sizes().vec();
    sizes.erase(sizes.begin() + (z.dim() == 1 ? 0 : 1));
    each = at::empty(sizes, z.options());
    rows.each = each.mutable_data_ptr<T>();
  }
  if (call.reduction == "mean") rows.scale = static_cast<T>(1 / divisor);
  const double sum = call.form == NLL ? nll(rows, Parallel{}) : cross_entropy(rows, Parallel{});
  Tensor loss = reduced(call, each, sum, divisor, z);
  if (wanted) attach(loss, std::move(call), std::move(gradient));
  return loss;
}

// --- pairs of classes ----------------------------------------------------------------------------

constexpr int64_t PAIRS = -2;

bool picks_fit(const Call& call) {
  const Tensor &z = call.tensors[0], &lists = call.tensors[1], &weight = call.tensors[2];
  if (!z.defined() || !lists.defined() || !floating(z) || z.dim() != 2 || z.numel() == 0) return false;
  if (weight.defined() && (weight.scalar_type() != z.scalar_type() || weight.dim() != 1 ||
                           weight.size(0) != z.size(1)))
    return false;
  const bool one = lists.dim() == 1;
  return at::isIntegralType(lists.scalar_type(), /*includeBool=*/false) && lists.size(0) == z.size(0) &&
         (one || (lists.dim() == 2 && lists.size(1) == z.size(1)));
}

// Indices are classes, or -1 in lists of several.
bool all_classes(const Tensor& lists, int64_t classes) {
  const int64_t *data = lists.const_data_ptr<int64_t>(), least = lists.dim() == 1 ? 0 : -1;
  return std::all_of(data, data + lists.numel(), [&](int64_t y) { return y >= least && y < classes; });
}

// settings: the margin and the power.
template <class T>
Tensor pairs_of(Call& call) {
  const Tensor z = call.tensors[0].contiguous(), lists = call.tensors[1].to(at::kLong).contiguous();
  const Tensor weight = call.tensors[2].defined() ? call.tensors[2].contiguous() : Tensor();
  if ((weight.defined() && any_negative(weight)) || !all_classes(lists, z.size(1))) return {};
  const bool wanted = at::GradMode::is_enabled() && wants_gradient(call.tensors[0]);
  Tensor gradient = wanted ? room_like(z) : Tensor();
  Tensor each = call.reduction == "none" ? at::empty({z.size(0)}, z.options()) : Tensor();
  const double divisor = call.reduction == "mean" ? static_cast<double>(z.size(0)) : 1.0;
  const Picks<T> picks{z.const_data_ptr<T>(), lists.const_data_ptr<int64_t>(), z.size(0), z.size(1),
                       lists.dim() == 1 ? 1 : lists.size(1), data_of<T>(weight),
                       each.defined() ? each.mutable_data_ptr<T>() : nullptr,
                       wanted ? gradient.mutable_data_ptr<T>() : nullptr,
                       static_cast<T>(1 / divisor)};
  const double margin = call.settings[0];
  const double sum = call.settings[1] == 1 ? of_picks(Pairs<1>{margin}, picks, Parallel{})
                                           : of_picks(Pairs<2>{margin}, picks, Parallel{});
  Tensor loss = reduced(call, each, sum, divisor, z);
  if (wanted) attach(loss, std::move(call), std::move(gradient));
  return loss;
}

// --- the functions that Python calls -------------------------------------------------------------

template <class F>
PyObject* without_gil(Call& call, const F& f) {
  Tensor loss;
  {
    // What is computed here is recorded by the node alone.
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

PyObject* elementwise_py(PyObject*, PyObject* const* given, Py_ssize_t count) {
  HANDLE_TH_ERRORS
  const Arguments arguments(given, count);
  Call call;
  call.tensors.resize(4);
  if (!Arguments::undisturbed() || !arguments.integer(0, call.form)) Py_RETURN_NONE;
  for (size_t k = 0; k < 4; ++k)
    if (!arguments.tensor(static_cast<Py_ssize_t>(k) + 1, call.tensors[k])) Py_RETURN_NONE;
  if (!arguments.reduction(5, call.reduction)) Py_RETURN_NONE;
  for (Py_ssize_t k = 6; k < count; ++k) {
    call.settings.emplace_back();
    if (!arguments.number(k, call.settings.back())) Py_RETURN_NONE;
  }
  if (!fits(call) || by_others(call)) Py_RETURN_NONE;
  return without_gil(call, elementwise_of);
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
  if (!Arguments::undisturbed()) Py_RETURN_NONE;
  for (size_t k = 0; k < 3; ++k)
    if (!arguments.tensor(static_cast<Py_ssize_t>(k), call.tensors[k])) Py_RETURN_NONE;
  if (!arguments.reduction(3, call.reduction) || !arguments.number(4, call.settings[0]) ||
      !arguments.number(5, call.settings[1]) || !picks_fit(call) || by_others(call))
    Py_RETURN_NONE;
  return without_gil(call, [](Call& each) {
    return by_dtype(each.tensors[0], [&](auto zero) { return pairs_of<decltype(zero)>(each); });
  });
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
  if (!Arguments::undisturbed()) Py_RETURN_NONE;
  for (size_t k = 0; k < 3; ++k)
    if (!arguments.tensor(static_cast<Py_ssize_t>(k), call.tensors[k])) Py_RETURN_NONE;
  if (!arguments.integer(3, call.ignored) || !arguments.reduction(4, call.reduction) ||
      !arguments.number(5, call.settings[0]) || !rows_fit(call) || by_others(call))
    Py_RETURN_NONE;
  return without_gil(call, [](Call& each) {
    return by_dtype(each.tensors[0], [&](auto zero) { return cross_entropy_of<decltype(zero)>(each); });
  });
  END_HANDLE_TH_ERRORS
}

PyObject* closed_forms_py(PyObject*, PyObject* on) {
  closed_forms_only += PyObject_IsTrue(on) ? 1 : -1;
  Py_RETURN_NONE;
}

PyObject* call_again_by_py(PyObject*, PyObject* function) {
  Py_XDECREF(again);
  again = Py_NewRef(function);
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
    {"call_again_by", call_again_by_py, METH_O, nullptr},
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
      again, "LNNLsN", static_cast<long long>(call.form), THPVariable_Wrap(upstream), tensors,
      static_cast<long long>(call.ignored), call.reduction.c_str(), settings);
  if (!result) throw python_error();
  Tensor gradient = THPVariable_Unpack(result);
  Py_DECREF(result);
  return gradient;
}

}  // namespace losses

PyMODINIT_FUNC PyInit_lossbench_kernels() { return PyModule_Create(&losses::module); }
