#include "node.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/grad_mode.h>

namespace losses {

namespace {

// Whether `x` is a plain tensor of the CPU, not a wrapper of a transformation.
bool plain(const Tensor& x) {
  static const auto keys = c10::DispatchKeySet({c10::DispatchKey::CPU, c10::DispatchKey::ADInplaceOrView,
                                                c10::DispatchKey::AutogradCPU, c10::DispatchKey::AutocastCPU});
  return (x.key_set() | keys) == keys;
}

}  // namespace

LossNode::LossNode(Call call) : call_(std::move(call)) {
  saved_.reserve(call_.tensors.size() + 1);
  for (Tensor& tensor : call_.tensors) {
    saved_.emplace_back(tensor, /*is_output=*/false);
    tensor.reset();
  }
  saved_.emplace_back(call_.saved, /*is_output=*/false);
  call_.saved.reset();
}

void LossNode::release_variables() {
  for (auto& each : saved_) each.reset_data();
}

torch::autograd::variable_list LossNode::apply(torch::autograd::variable_list&& upstream) {
  if (!upstream[0].defined()) return {Tensor()};
  Call call = call_;
  for (size_t k = 0; k < call.tensors.size(); ++k) call.tensors[k] = saved_[k].unpack();
  // create_graph=True: the gradient has to be a function of the logits.
  if (at::GradMode::is_enabled() || !plain(upstream[0])) return {differentiable_gradient(call, upstream[0])};
  call.saved = saved_.back().unpack();
  return {compute_gradient(call, upstream[0])};
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

void attach(Tensor& loss, Call call) {
  auto edges = torch::autograd::collect_next_edges(call.tensors[0]);
  auto node = make_node<LossNode>(std::move(call));
  node->set_next_edges(std::move(edges));
  torch::autograd::set_history(loss, node);
}

}  // namespace losses
