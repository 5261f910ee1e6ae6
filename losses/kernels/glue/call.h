// A call of a loss: its kernel and its arguments, and what computes it on torch's tensors.
#pragma once

#include <Python.h>
#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "../runtime/job.h"

namespace losses {

using at::Tensor;

// A compiled loss for one dtype of computation.
struct Compiled {
  double (*value)(const Job*) = nullptr;
  void (*gradient)(const Job*) = nullptr;
  std::vector<double> constants;
  // Whether the value saves two numbers per row for the gradient.
  bool saves = false;
  // Whether it is known that there is none.
  bool missing = false;
};

// What the target is: a number per logit; a row of numbers; the class of a row; classes of a row.
enum class Target { ELEMENTS, DISTRIBUTION, INDEX, LISTS };

// A loss with its settings. It is never destroyed: Python keeps as many as there are settings in use.
struct Kernel {
  Target target = Target::ELEMENTS;
  // Whether the formula takes the weights of the classes.
  bool takes_weight = false;
  // Whether 'mean' divides by the sum of the rows' weights, or by their number.
  bool weighted_mean = true;
  // What is plain, as in the Python class Signature.
  bool one_dtype = false;
  bool matrix = false;
  bool unit_interval = false;

  bool rows() const { return target != Target::ELEMENTS; }
  bool has_index() const { return target == Target::INDEX || target == Target::LISTS; }
  // In float32, which also computes bfloat16 and float16, and in float64.
  Compiled in_float32, in_float64;
  // derivative(upstream, input, target, weight, extra, ignore_index, reduction): the gradient as a
  // differentiable tensor.
  PyObject* derivative = nullptr;
};

struct Call {
  const Kernel* kernel = nullptr;
  // Input, target, weight, extra, as they were given; undefined for None.
  std::vector<Tensor> tensors = std::vector<Tensor>(4);
  int64_t ignored = -100;
  std::string reduction;
  // By what 'mean' divides; 1 for the others.
  double divisor = 1;
  // What the value saves for the gradient; undefined: nothing.
  Tensor saved;

  // The dtype of the loss without autocast.
  at::ScalarType dtype() const;
  const Compiled& compiled() const { return dtype() == at::kDouble ? kernel->in_float64 : kernel->in_float32; }
};

inline bool floating(const Tensor& x) {
  switch (x.scalar_type()) {
    case at::kFloat:
    case at::kDouble:
    case at::kBFloat16:
    case at::kHalf:
      return true;
    default:
      return false;
  }
}

inline bool wants_gradient(const Tensor& x) { return x.defined() && x.requires_grad(); }

// Whether shapes and dtypes are the plain ones of the kernel's signature. It is no rule: of whatever is not
// plain the Python code finds out whether it is right, and computes or refuses it.
bool is_plain(const Call& call);

// The loss, or an undefined tensor where a value is invalid: the Python code then raises.
Tensor compute_value(Call& call, bool wants_gradient);

// The gradient of the input; `upstream` is that of the loss.
Tensor compute_gradient(const Call& call, const Tensor& upstream);

}  // namespace losses
