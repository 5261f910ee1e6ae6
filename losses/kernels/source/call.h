// A call of a loss, whether a kernel supports it, and the kernels on torch's tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

namespace losses {

using at::Tensor;

// Values of `Call::form` for losses of rows. Those of single logits are 0 and above, in the order
// of losses.kernels.formulas.FORMS.
constexpr int64_t CROSS_ENTROPY = -1, PAIRS = -2, NLL = -3;

// The arguments of a loss, with which the closed forms can compute it again.
struct Call {
  // In the order of the Python function's arguments; undefined for None.
  std::vector<Tensor> tensors;
  int64_t form = 0, ignored = -100;
  std::string reduction;
  std::vector<double> settings;
};

inline bool floating(const Tensor& x) {
  return x.scalar_type() == at::kFloat || x.scalar_type() == at::kDouble;
}

inline bool wants_gradient(const Tensor& x) { return x.defined() && x.requires_grad(); }

// Whether the kernels support the shapes and dtypes.
bool elementwise_fits(const Call& call);
bool rows_fit(const Call& call);
bool pairs_fit(const Call& call);

// The loss, or an undefined tensor where a value is invalid (the closed forms then raise).
Tensor compute_elementwise(Call& call);
Tensor compute_rows(Call& call);
Tensor compute_pairs(Call& call);

}  // namespace losses
