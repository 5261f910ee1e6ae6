// The autograd node of a loss whose gradient was computed together with its value.
#pragma once

#include <Python.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/autograd/variable.h>

#include <vector>

#include "call.h"

namespace losses {

// While above 0 no kernel is used by this thread.
extern thread_local int closed_forms_only;

// The gradient of the call's loss by its first tensor along `upstream`, with a graph of its own.
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

// Makes `loss` a function of the call's first tensor, with `gradient` for its derivative.
void attach(Tensor& loss, Call call, Tensor gradient);

}  // namespace losses
