#include "room.h"

#include <ATen/EmptyTensor.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <iterator>
#include <memory>
#include <mutex>
#include <vector>

namespace losses {

namespace {

constexpr size_t LEAST = size_t(1) << 20, MOST = size_t(1) << 26;

// Memory of the operating system's, not of the heap: what is kept of the heap would keep whatever
// lies before it from being given back.
class Piece {
 public:
  explicit Piece(size_t bytes)
      : bytes(bytes), memory(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  Piece(const Piece&) = delete;
  ~Piece() {
    if (there()) munmap(memory, bytes);
  }
  bool there() const { return memory != MAP_FAILED; }

  const size_t bytes;
  void* const memory;
};

using Pieces = std::vector<std::unique_ptr<Piece>>;

// For a large piece the operating system is asked for large pages, of which there are fewer to find.
void ask_for_large_pages(void* memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t page = uintptr_t(1) << 21;
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t from = (begin + page - 1) & ~(page - 1), to = (begin + bytes) & ~(page - 1);
  if (bytes >= 4 * page) madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#endif
}

class Kept final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes >= LEAST && bytes <= MOST) {
      auto piece = taken(bytes);
      const bool fresh = !piece;
      if (fresh) piece = std::make_unique<Piece>(bytes);
      if (piece->there()) {
        if (fresh) ask_for_large_pages(piece->memory, bytes);
        // Whoever profiles sees what is in use, not what is kept.
        c10::profiledCPUMemoryReporter().New(piece->memory, bytes);
        void* memory = piece->memory;
        return {memory, piece.release(), &give_back, c10::Device(c10::kCPU)};
      }
    }
    c10::DataPtr found = c10::GetCPUAllocator()->allocate(bytes);
    ask_for_large_pages(found.get(), bytes);
    return found;
  }

  void copy_data(void* to, const void* from, size_t count) const override {
    default_copy_data(to, from, count);
  }

 private:
  std::unique_ptr<Piece> taken(size_t bytes) {
    // Who would have to wait, perhaps for ever behind a fork, asks the operating system.
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return nullptr;
    for (size_t k = free_.size(); k-- > 0;) {
      if (free_[k]->bytes != bytes) continue;
      auto piece = std::move(free_[k]);
      free_.erase(free_.begin() + static_cast<Pieces::difference_type>(k));
      return piece;
    }
    return nullptr;
  }

  void keep(std::unique_ptr<Piece> piece) {
    c10::profiledCPUMemoryReporter().Delete(piece->memory);
    Pieces too_many;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;
    size_t total = piece->bytes;
    free_.push_back(std::move(piece));
    // The latest are kept.
    for (size_t k = free_.size() - 1; k-- > 0;) {
      total += free_[k]->bytes;
      if (total <= MOST) continue;
      const auto end = free_.begin() + static_cast<Pieces::difference_type>(k) + 1;
      std::move(free_.begin(), end, std::back_inserter(too_many));
      free_.erase(free_.begin(), end);
      return;
    }
  }

  static void give_back(void* piece);

  std::mutex mutex_;
  // In the order in which they were given back.
  Pieces free_;
};

// Never destroyed: gradients may outlive whatever a process ends with.
Kept& kept() {
  static Kept& only = *new Kept;
  return only;
}

void Kept::give_back(void* piece) { kept().keep(std::unique_ptr<Piece>(static_cast<Piece*>(piece))); }

}  // namespace

at::Tensor room_like(const at::Tensor& z) {
  return at::detail::empty_strided_generic(z.sizes(), z.strides(), &kept(),
                                           c10::DispatchKeySet(c10::DispatchKey::CPU),
                                           z.scalar_type());
}

}  // namespace losses
