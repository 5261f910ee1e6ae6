// Kernels on torch's tensors: dtypes, layouts, reductions, threads.
#include <ATen/ATen.h>
#include <ATen/ExpandUtils.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>

#include <algorithm>
#include <optional>

#include "call.h"
#include "gradient_memory.h"

namespace losses {

namespace {

void parallel(int64_t count, int64_t grain, void (*f)(const void*, int64_t, int64_t), const void* context) {
  at::parallel_for(0, count, grain, [&](int64_t begin, int64_t end) { f(context, begin, end); });
}

Dtype dtype_of(at::ScalarType type) {
  switch (type) {
    case at::kDouble: return FLOAT64;
    case at::kBFloat16: return BFLOAT16;
    case at::kHalf: return FLOAT16;
    default: return FLOAT32;
  }
}

Array array(const Tensor& x) {
  if (!x.defined()) return {nullptr, FLOAT32};
  return {x.const_data_ptr(), dtype_of(x.scalar_type())};
}

// The tensors of a call as memory: what a job points to has to live as long as the job.
struct Arrays {
  Tensor z, t, weight, extra, index;
  Job job{};
};

// x with the strides of z, which is dense.
Tensor with_layout(const Tensor& x, const Tensor& z) {
  if (!x.defined()) return x;
  const Tensor expanded = x.expand(z.sizes());
  if (expanded.strides() == z.strides()) return expanded;
  return at::empty_like(z, x.scalar_type()).copy_(expanded);
}

Tensor dense(const Tensor& x) { return x.is_non_overlapping_and_dense() ? x : x.contiguous(); }

void set_elements(const Call& call, Arrays& to) {
  to.z = dense(call.tensors[0]);
  to.t = with_layout(call.tensors[1], to.z);
  to.weight = with_layout(call.tensors[2], to.z);
  to.extra = with_layout(call.tensors[3], to.z);
  to.job.outer = to.z.numel();
  to.job.classes = to.job.inner = 1;
}

// (N, C, d1, ..., dK), contiguous along the classes or along d1, ..., dK.
void set_rows(const Call& call, Arrays& to) {
  const Tensor& x = call.tensors[0];
  Job& job = to.job;
  if (x.dim() == 1) {
    to.z = x.contiguous();
    job.outer = job.inner = 1;
    job.classes = x.size(0);
  } else {
    const int64_t n = x.size(0), classes = x.size(1), inner = x.numel() / (n * classes);
    const bool last = x.dim() > 2 && inner > 1 && x.movedim(1, -1).is_contiguous();
    to.z = last ? x : x.contiguous();
    job.outer = last ? n * inner : n;
    job.classes = classes;
    job.inner = last ? 1 : inner;
  }
  if (call.kernel->has_index()) {
    to.index = call.tensors[1].to(at::kLong).contiguous();
    job.index = to.index.const_data_ptr<int64_t>();
  } else {
    to.t = with_layout(call.tensors[1], to.z);
  }
  if (call.tensors[2].defined()) to.weight = call.tensors[2].contiguous();
  if (call.tensors[3].defined()) to.extra = call.tensors[3].contiguous();
  job.ignored = call.ignored;
}

void set(const Call& call, Arrays& to) {
  if (call.kernel->rows()) set_rows(call, to);
  else set_elements(call, to);
  Job& job = to.job;
  job.z = array(to.z);
  job.t = array(to.t);
  // Numbers per class or per element that the formula takes, and factors of what it gives.
  job.w = array(call.kernel->takes_weight ? to.weight : to.extra);
  if (!call.kernel->takes_weight) job.weight = array(to.weight);
  job.constants = call.compiled().constants.data();
  job.parallel = parallel;
  if (call.saved.defined()) job.saved = call.saved.mutable_data_ptr();
}

// The sum of the rows' weights; nothing if an index is out of range.
std::optional<double> total_weight(const Arrays& arrays, int64_t ignored) {
  const Tensor weight = arrays.weight.defined() ? arrays.weight.to(at::kDouble) : Tensor();
  const double* w = weight.defined() ? weight.const_data_ptr<double>() : nullptr;
  const int64_t *index = arrays.job.index, count = arrays.index.numel(), classes = arrays.job.classes;
  double total = 0;
  int64_t kept = 0;
  for (int64_t k = 0; k < count; ++k) {
    const int64_t y = index[k];
    if (y == ignored) continue;
    if (y < 0 || y >= classes) return std::nullopt;
    if (w) total += w[y];
    ++kept;
  }
  return w ? total : static_cast<double>(kept);
}

// Whether lists hold class indices and what is filled up with, -1.
bool all_classes(const Tensor& lists, int64_t classes) {
  const int64_t* data = lists.const_data_ptr<int64_t>();
  return std::all_of(data, data + lists.numel(), [&](int64_t y) { return y >= -1 && y < classes; });
}

bool in_unit_interval(const Tensor& x) {
  const auto [least, most] = at::aminmax(x);
  // NaN is in no interval.
  return least.item<double>() >= 0 && most.item<double>() <= 1;
}

Tensor each_loss(const Call& call, const Arrays& arrays, at::ScalarType dtype) {
  const auto options = arrays.z.options().dtype(dtype);
  if (!call.kernel->rows()) return at::empty_like(arrays.z, options);
  auto sizes = arrays.z.sizes().vec();
  sizes.erase(sizes.begin() + (arrays.z.dim() == 1 ? 0 : 1));
  return at::empty(sizes, options);
}

// Whether x has the sizes of z, (C,) or (N, C, d1, ..., dK), without the classes.
bool has_sizes_of_rows(const Tensor& x, const Tensor& z) {
  if (z.dim() < 2) return z.dim() == 1 && x.dim() == 0;
  return x.dim() == z.dim() - 1 && x.size(0) == z.size(0) && x.sizes().slice(1) == z.sizes().slice(2);
}

}  // namespace

at::ScalarType Call::dtype() const {
  at::ScalarType found = tensors[0].scalar_type();
  if (kernel->has_index()) return found;
  found = at::promote_types(found, tensors[1].scalar_type());
  if (kernel->rows() && tensors[2].defined()) found = at::promote_types(found, tensors[2].scalar_type());
  return found;
}

bool is_plain(const Call& call) {
  const Kernel& kernel = *call.kernel;
  const Tensor &z = call.tensors[0], &t = call.tensors[1], &weight = call.tensors[2];
  if (!z.defined() || !t.defined() || !floating(z)) return false;
  if (kernel.has_index() ? !at::isIntegralType(t.scalar_type(), /*includeBool=*/false) : !floating(t)) return false;
  if (kernel.one_dtype && t.scalar_type() != z.scalar_type()) return false;
  if (kernel.matrix && z.dim() != 2) return false;
  if (kernel.target == Target::INDEX ? !has_sizes_of_rows(t, z) : t.sizes() != z.sizes()) return false;
  if (kernel.rows() && (z.dim() == 0 || z.numel() == 0)) return false;
  if (kernel.target == Target::INDEX && weight.defined() && weight.scalar_type() != z.scalar_type()) return false;
  for (size_t k = 2; k < call.tensors.size(); ++k) {
    const Tensor& x = call.tensors[k];
    if (!x.defined()) continue;
    if (!floating(x)) return false;
    if (kernel.rows() ? x.dim() != 1 || x.size(0) != z.size(z.dim() == 1 ? 0 : 1)
                      : !at::is_expandable_to(x.sizes(), z.sizes()))
      return false;
  }
  return true;
}

Tensor compute_value(Call& call, bool wants_gradient) {
  const Compiled& compiled = call.compiled();
  if (call.kernel->unit_interval && call.tensors[0].numel() &&
      !(in_unit_interval(call.tensors[0]) && in_unit_interval(call.tensors[1])))
    return {};
  Arrays arrays;
  set(call, arrays);
  Job& job = arrays.job;
  const int64_t examples = job.outer * job.inner;
  double divisor = static_cast<double>(examples);
  if (call.kernel->target == Target::LISTS) {
    if (!all_classes(arrays.index, job.classes)) return {};
  } else if (job.index) {
    const auto total = total_weight(arrays, call.ignored);
    if (!total) return {};
    if (call.kernel->weighted_mean) divisor = *total;
  }
  if (call.reduction == "mean") call.divisor = divisor;
  at::ScalarType dtype = call.dtype();
  if (at::elementSize(dtype) < 4 && at::autocast::is_autocast_enabled(at::kCPU)) dtype = at::kFloat;
  if (wants_gradient && compiled.saves && job.classes > FEW && job.inner == 1) {
    call.saved = at::empty({examples, 2}, arrays.z.options().dtype(call.dtype() == at::kDouble ? at::kDouble : at::kFloat));
    job.saved = call.saved.mutable_data_ptr();
  }
  Tensor loss;
  if (call.reduction == "none") {
    loss = each_loss(call, arrays, dtype);
    job.each = loss.mutable_data_ptr();
    job.each_dtype = dtype_of(dtype);
  }
  const double sum = compiled.value(&job);
  if (loss.defined()) return loss;
  loss = at::empty({}, arrays.z.options().dtype(dtype));
  const double value = sum / call.divisor;
  switch (dtype) {
    case at::kDouble: *loss.mutable_data_ptr<double>() = value; break;
    case at::kFloat: *loss.mutable_data_ptr<float>() = static_cast<float>(value); break;
    default: loss.fill_(value);
  }
  return loss;
}

Tensor compute_gradient(const Call& call, const Tensor& upstream) {
  Arrays arrays;
  set(call, arrays);
  Job& job = arrays.job;
  Tensor factors;
  job.scale = 1 / call.divisor;
  if (call.reduction != "none") {
    job.scale *= upstream.item<double>();
  } else {
    factors = call.kernel->rows() ? upstream.contiguous() : with_layout(upstream, arrays.z);
    job.upstream = array(factors);
  }
  Tensor gradient = empty_gradient_like(arrays.z);
  job.gradient = gradient.mutable_data_ptr();
  job.gradient_dtype = dtype_of(arrays.z.scalar_type());
  call.compiled().gradient(&job);
  return gradient;
}

}  // namespace losses
