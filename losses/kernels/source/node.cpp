#include "node.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/grad_mode.h>

namespace losses {

namespace {

// Whether `upstream` is a plain tensor of the gradient's dtype, not a wrapper.
bool plain(const Tensor& upstream, const Tensor& gradient) {
  return upstream.key_set() == gradient.key_set() && upstream.dtype() == gradient.dtype();
}

bool is_one(const Tensor& number) {
  return number.scalar_type() == at::kFloat ? *number.const_data_ptr<float>() == 1
                                            : *number.const_data_ptr<double>() == 1;
}

}  // namespace

LossNode::LossNode(Call call, Tensor gradient) : call_(std::move(call)), gradient_(std::move(gradient)) {
  saved_.reserve(call_.tensors.size());
  for (Tensor& tensor : call_.tensors) {
    saved_.emplace_back(tensor, /*is_output=*/false);
    tensor.reset();
  }
}

void LossNode::release_variables() {
  for (auto& each : saved_) each.reset_data();
  gradient_.reset();
}

torch::autograd::variable_list LossNode::apply(torch::autograd::variable_list&& upstream) {
  TORCH_CHECK(gradient_.defined(), torch::autograd::ERR_BACKWARD_TWICE);
  if (!upstream[0].defined()) return {Tensor()};
  if (!at::GradMode::is_enabled()) return {along(upstream[0])};
  // create_graph=True: the gradient has to be a function of the logits.
  Call call = call_;
  for (size_t k = 0; k < saved_.size(); ++k) call.tensors[k] = saved_[k].unpack();
  return {differentiable_gradient(call, upstream[0])};
}

Tensor LossNode::along(const Tensor& upstream) {
  const bool one = upstream.dim() == 0;
  // The gradient is returned or modified in place only if this is the last backward pass.
  const bool own = last_ && plain(upstream, gradient_);
  Tensor gradient = own ? std::move(gradient_) : gradient_;
  if (own) gradient_ = at::empty({0}, gradient.options());
  if (one && plain(upstream, gradient) && is_one(upstream)) return own ? gradient : gradient.clone();
  Tensor factor = upstream;
  // One loss per row: the class dimension of the logits, 1 or the only one, is missing.
  if (!one && upstream.dim() < gradient.dim()) factor = upstream.unsqueeze(gradient.dim() == 1 ? 0 : 1);
  return own ? gradient.mul_(factor) : gradient.mul(factor);
}

namespace {

// The pointer type of nodes depends on torch's version.
template <class Node, class... Arguments>
auto make_node(Arguments&&... arguments) {
  if constexpr (std::is_base_of_v<c10::intrusive_ptr_target, Node>) {
    return c10::make_intrusive<Node>(std::forward<Arguments>(arguments)...);
  } else {
    return std::make_shared<Node>(std::forward<Arguments>(arguments)...);
  }
}

}  // namespace

void attach(Tensor& loss, Call call, Tensor gradient) {
  auto edges = torch::autograd::collect_next_edges(call.tensors[0]);
  auto node = make_node<LossNode>(std::move(call), std::move(gradient));
  node->set_next_edges(std::move(edges));
  torch::autograd::set_history(loss, node);
}

}  // namespace losses
