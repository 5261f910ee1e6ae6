// The autograd node of a loss whose value a kernel has computed.
#pragma once

#include <Python.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

#include <vector>

#include "call.h"

namespace losses {

// Above 0 this thread uses no kernels.
extern thread_local int closed_forms_only;

// The gradient of the call's loss with respect to its first tensor, times `upstream`, as a
// differentiable tensor.
Tensor differentiable_gradient(const Call& call, const Tensor& upstream);

// Keeps the inputs as autograd's saved tensors, and nothing else of their size: the gradient is
// computed when it is asked for.
class LossNode : public torch::autograd::Node {
 public:
  explicit LossNode(Call call);
  std::string name() const override { return "LossBackward"; }
  void release_variables() override;

 protected:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& upstream) override;

 private:
  Call call_;
  // The call's tensors, and what its value has saved.
  std::vector<torch::autograd::SavedVariable> saved_;
};

// Gives `loss` a node of the graph.
void attach(Tensor& loss, Call call);

}  // namespace losses
