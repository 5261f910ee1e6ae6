// The kernels on torch's tensors: memory, layouts, reductions, threads.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include "call.h"
#include "elementwise.h"
#include "likelihood.h"
#include "margin.h"
#include "node.h"
#include "gradient_memory.h"
#include "softmax.h"

namespace losses {

namespace {

struct Parallel {
  template <class F>
  void operator()(int64_t count, int64_t grain, const F& f) const {
    at::parallel_for(0, count, grain, f);
  }
};

template <class F>
auto dispatch_dtype(const Tensor& x, const F& f) {
  return x.scalar_type() == at::kFloat ? f(float()) : f(double());
}

template <class T>
const T* data_ptr(const Tensor& x) {
  return x.defined() ? x.const_data_ptr<T>() : nullptr;
}

// Whether f holds for every element of x.
template <class F>
bool all_of(const Tensor& x, const F& f) {
  return dispatch_dtype(x, [&](auto zero) {
    using T = decltype(zero);
    const T* data = x.const_data_ptr<T>();
    const int64_t count = x.numel();
    int64_t wrong = 0;
#pragma omp simd reduction(+ : wrong)
    for (int64_t i = 0; i < count; ++i) wrong += f(data[i]) ? 0 : 1;
    return wrong == 0;
  });
}

// Whether an element is negative or NaN.
bool any_negative(const Tensor& x) {
  return !all_of(x, [](auto w) { return w >= 0; });
}

bool in_unit_interval(const Tensor& x) {
  return all_of(x, [](auto p) { return p >= 0 && p <= 1; });
}

// The reduced loss, or the losses themselves ('none').
Tensor reduce(const Call& call, const Tensor& each, double sum, double divisor, const Tensor& like) {
  if (each.defined()) return each;
  Tensor loss = at::empty({}, like.options());
  const double value = call.reduction == "mean" ? sum / divisor : sum;
  dispatch_dtype(loss, [&](auto zero) {
    using T = decltype(zero);
    *loss.mutable_data_ptr<T>() = static_cast<T>(value);
    return 0;
  });
  return loss;
}

// --- losses of single logits ---------------------------------------------------------------------

// Calls f with the form of a number, in the order of losses.kernels.formulas.FORMS.
template <class F>
bool dispatch_form(int64_t form, const std::vector<double>& settings, const F& f) {
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

}  // namespace

bool elementwise_fits(const Call& call) {
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

// tensors: input, target, weight, extra.
Tensor compute_elementwise(Call& call) {
  const Tensor z = call.tensors[0].contiguous(), t = call.tensors[1].contiguous();
  const auto expanded = [&](const Tensor& x) {
    return x.defined() ? x.expand(z.sizes()).contiguous() : x;
  };
  const Tensor weight = expanded(call.tensors[2]), extra = expanded(call.tensors[3]);
  if (call.form == BCE && !(in_unit_interval(z) && in_unit_interval(t))) return {};
  if (call.form == WEIGHTED_BCE && any_negative(call.tensors[3].contiguous())) return {};
  const bool wanted = at::GradMode::is_enabled() && wants_gradient(call.tensors[0]);
  Tensor gradient = wanted ? empty_gradient_like(z) : Tensor();
  Tensor each = call.reduction == "none" ? at::empty_like(z) : Tensor();
  const double divisor = call.reduction == "mean" ? static_cast<double>(z.numel()) : 1.0;
  double sum = 0;
  dispatch_dtype(z, [&](auto zero) {
    using T = decltype(zero);
    Elements<T> data{data_ptr<T>(z), data_ptr<T>(t), data_ptr<T>(extra), data_ptr<T>(weight),
                     each.defined() ? each.mutable_data_ptr<T>() : nullptr,
                     gradient.defined() ? gradient.mutable_data_ptr<T>() : nullptr,
                     z.numel(), static_cast<T>(1 / divisor)};
    dispatch_form(call.form, call.settings,
              [&](const auto& form) { sum = elementwise(form, data, Parallel{}); });
    return 0;
  });
  Tensor loss = reduce(call, each, sum, divisor, z);
  if (wanted) attach(loss, std::move(call), std::move(gradient));
  return loss;
}

// --- cross-entropy and nll -----------------------------------------------------------------------

namespace {

struct Layout {
  Tensor z;
  int64_t outer, classes, inner;
};

// (N, C, d1, ..., dK), contiguous along the classes or along d1, ..., dK.
Layout layout_of(const Tensor& x) {
  if (x.dim() == 1) return {x.contiguous(), 1, x.size(0), 1};
  const int64_t n = x.size(0), classes = x.size(1), inner = n * classes ? x.numel() / (n * classes) : 0;
  if (x.dim() > 2 && x.movedim(1, -1).is_contiguous()) return {x, n * inner, classes, 1};
  return {x.contiguous(), n, classes, inner};
}

// The sum of the rows' weights, or -1 if an index is out of range.
template <class T>
double total_weight(const Rows<T>& rows, int64_t count) {
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

}  // namespace

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

namespace {

template <class T>
Tensor compute_rows_as(Call& call) {
  const Layout layout = layout_of(call.tensors[0]);
  const bool soft = is_distribution(call);
  Tensor target = call.tensors[1];
  if (!soft) target = target.to(at::kLong).contiguous();
  // The target needs z's strides.
  else if (target.strides() != layout.z.strides()) target = at::empty_like(layout.z).copy_(target);
  const Tensor weight = call.tensors[2].defined() ? call.tensors[2].contiguous() : Tensor();
  if (weight.defined() && any_negative(weight)) return {};
  const Tensor& z = layout.z;
  const bool wanted = at::GradMode::is_enabled() && wants_gradient(call.tensors[0]);
  Rows<T> rows{z.const_data_ptr<T>(), layout.outer, layout.classes, layout.inner,
               soft ? nullptr : target.const_data_ptr<int64_t>(),
               soft ? target.const_data_ptr<T>() : nullptr,
               call.ignored, data_ptr<T>(weight), call.settings[0], nullptr, nullptr, T(1)};
  const int64_t count = layout.outer * layout.inner;
  const double divisor = soft ? static_cast<double>(count) : total_weight(rows, count);
  if (divisor < 0) return {};
  Tensor gradient = wanted ? empty_gradient_like(z) : Tensor(), each;
  if (wanted) rows.gradient = gradient.mutable_data_ptr<T>();
  if (call.reduction == "none") {
    auto sizes = z.sizes().vec();
    sizes.erase(sizes.begin() + (z.dim() == 1 ? 0 : 1));
    each = at::empty(sizes, z.options());
    rows.each = each.mutable_data_ptr<T>();
  }
  if (call.reduction == "mean") rows.scale = static_cast<T>(1 / divisor);
  const double sum = call.form == NLL ? nll(rows, Parallel{}) : cross_entropy(rows, Parallel{});
  Tensor loss = reduce(call, each, sum, divisor, z);
  if (wanted) attach(loss, std::move(call), std::move(gradient));
  return loss;
}

}  // namespace

// --- pairs of classes ----------------------------------------------------------------------------

bool pairs_fit(const Call& call) {
  const Tensor &z = call.tensors[0], &lists = call.tensors[1], &weight = call.tensors[2];
  if (!z.defined() || !lists.defined() || !floating(z) || z.dim() != 2 || z.numel() == 0) return false;
  if (weight.defined() && (weight.scalar_type() != z.scalar_type() || weight.dim() != 1 ||
                           weight.size(0) != z.size(1)))
    return false;
  const bool one = lists.dim() == 1;
  return at::isIntegralType(lists.scalar_type(), /*includeBool=*/false) && lists.size(0) == z.size(0) &&
         (one || (lists.dim() == 2 && lists.size(1) == z.size(1)));
}

namespace {

// Whether indices are classes; a list may also hold -1.
bool all_classes(const Tensor& lists, int64_t classes) {
  const int64_t *data = lists.const_data_ptr<int64_t>(), least = lists.dim() == 1 ? 0 : -1;
  return std::all_of(data, data + lists.numel(), [&](int64_t y) { return y >= least && y < classes; });
}

// settings: the margin and the power.
template <class T>
Tensor compute_pairs_as(Call& call) {
  const Tensor z = call.tensors[0].contiguous(), lists = call.tensors[1].to(at::kLong).contiguous();
  const Tensor weight = call.tensors[2].defined() ? call.tensors[2].contiguous() : Tensor();
  if ((weight.defined() && any_negative(weight)) || !all_classes(lists, z.size(1))) return {};
  const bool wanted = at::GradMode::is_enabled() && wants_gradient(call.tensors[0]);
  Tensor gradient = wanted ? empty_gradient_like(z) : Tensor();
  Tensor each = call.reduction == "none" ? at::empty({z.size(0)}, z.options()) : Tensor();
  const double divisor = call.reduction == "mean" ? static_cast<double>(z.size(0)) : 1.0;
  const PairRows<T> rows{z.const_data_ptr<T>(), lists.const_data_ptr<int64_t>(), z.size(0), z.size(1),
                       lists.dim() == 1 ? 1 : lists.size(1), data_ptr<T>(weight),
                       each.defined() ? each.mutable_data_ptr<T>() : nullptr,
                       wanted ? gradient.mutable_data_ptr<T>() : nullptr,
                       static_cast<T>(1 / divisor)};
  const double margin = call.settings[0];
  const double sum = call.settings[1] == 1 ? pairs_loss(Pairs<1>{margin}, rows, Parallel{})
                                           : pairs_loss(Pairs<2>{margin}, rows, Parallel{});
  Tensor loss = reduce(call, each, sum, divisor, z);
  if (wanted) attach(loss, std::move(call), std::move(gradient));
  return loss;
}

}  // namespace

Tensor compute_rows(Call& call) {
  return dispatch_dtype(call.tensors[0], [&](auto zero) { return compute_rows_as<decltype(zero)>(call); });
}

Tensor compute_pairs(Call& call) {
  return dispatch_dtype(call.tensors[0], [&](auto zero) { return compute_pairs_as<decltype(zero)>(call); });
}

}  // namespace losses
