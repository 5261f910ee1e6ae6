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

// A loss with its settings. It is never destroyed: Python keeps as many as there are settings in use.
struct Kernel {
  bool rows = false;
  // Whether the target lists the right classes of a row.
  bool lists = false;
  // Whether 'mean' divides by the sum of the rows' weights, or by their number.
  bool weighted_mean = true;
  // Whether the formula takes the weights of the classes.
  bool weighs = false;
  // Whether inputs and targets outside of [0, 1] are errors, which the Python code raises.
  bool unit_interval = false;
  // In float32, which also computes bfloat16 and float16, and in float64.
  Compiled narrow, wide;
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

  bool has_index() const;
  // The dtype of the loss without autocast.
  at::ScalarType dtype() const;
  const Compiled& compiled() const { return dtype() == at::kDouble ? kernel->wide : kernel->narrow; }
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

// Whether a kernel supports the shapes and dtypes.
bool fits(const Call& call);

// The loss, or an undefined tensor where a value is invalid: the Python code then raises.
Tensor compute_value(Call& call, bool wants_gradient);

// The gradient of the input; `upstream` is that of the loss.
Tensor compute_gradient(const Call& call, const Tensor& upstream);

}  // namespace losses
