// The autograd node of a loss whose gradient was computed together with its value.
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

class LossNode : public torch::autograd::Node {
 public:
  LossNode(Call call, Tensor gradient);
  std::string name() const override { return "LossBackward"; }
  void release_variables() override;
  void will_release_variables() override { last_ = true; }

 protected:
  torch::autograd::variable_list apply(torch::autograd::variable_list&& upstream) override;

 private:
  Tensor along(const Tensor& upstream);

  Call call_;
  std::vector<torch::autograd::SavedVariable> saved_;
  Tensor gradient_;
  bool last_ = false;
};

// Gives `loss` a node of the graph: its gradient with respect to the call's first tensor is
// `gradient`.
void attach(Tensor& loss, Call call, Tensor gradient);

}  // namespace losses
