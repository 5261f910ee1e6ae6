// A call of a loss, whether a kernel can serve it, and the kernels on torch's tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace losses {

using at::Tensor;

// Of `Call::form`: 0 and above are the losses of single numbers, in the order of
// losses.kernels.FORMS.
constexpr int64_t CROSS_ENTROPY = -1, PAIRS = -2, NLL = -3;

// The call of a loss, to make it again from its closed forms.
struct Call {
  // In the order in which the Python function takes them; undefined: None.
  std::vector<Tensor> tensors;
  int64_t form = 0, ignored = -100;
  std::string reduction;
  std::vector<double> settings;
};

inline bool floating(const Tensor& x) {
  return x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble;
}

inline bool wants_gradient(const Tensor& x) { return x.defined() && x.requires_grad(); }

// Whether the shapes and dtypes are those that the kernels are for.
bool elementwise_fits(const Call& call);
bool rows_fit(const Call& call);
bool pairs_fit(const Call& call);

// The loss, or an undefined tensor where a number is none that the loss takes.
Tensor elementwise_of(Call& call);
Tensor rows_of(Call& call);
Tensor pairs_of(Call& call);

}  // namespace losses
