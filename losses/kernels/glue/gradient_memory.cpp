#include "gradient_memory.h"

#include <ATen/EmptyTensor.h>
#include <c10/core/CPUAllocator.h>
#include <sys/mman.h>

#include <iterator>
#include <memory>
#include <mutex>
#include <vector>

namespace losses {

namespace {

constexpr size_t MIN_CACHED_BYTES = size_t(1) << 20, MAX_CACHED_BYTES = size_t(1) << 26;

// A block of mmap, not of malloc: a cached block of the heap would keep the heap from shrinking.
class Block {
 public:
  explicit Block(size_t bytes)
      : bytes(bytes), memory(mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  Block(const Block&) = delete;
  ~Block() {
    if (mapped()) munmap(memory, bytes);
  }
  bool mapped() const { return memory != MAP_FAILED; }

  const size_t bytes;
  void* const memory;
};

using Blocks = std::vector<std::unique_ptr<Block>>;

// Large blocks get huge pages: fewer page faults.
void advise_huge_pages(void* memory, size_t bytes) {
#ifdef MADV_HUGEPAGE
  constexpr uintptr_t page = uintptr_t(1) << 21;
  const auto begin = reinterpret_cast<uintptr_t>(memory);
  const uintptr_t from = (begin + page - 1) & ~(page - 1), to = (begin + bytes) & ~(page - 1);
  if (bytes >= 4 * page) madvise(reinterpret_cast<void*>(from), to - from, MADV_HUGEPAGE);
#endif
}

class CachingAllocator final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    if (bytes >= MIN_CACHED_BYTES && bytes <= MAX_CACHED_BYTES) {
      auto block = take_cached(bytes);
      const bool fresh = !block;
      if (fresh) block = std::make_unique<Block>(bytes);
      if (block->mapped()) {
        if (fresh) advise_huge_pages(block->memory, bytes);
        // Profilers see the memory in use, not the cached blocks.
        c10::profiledCPUMemoryReporter().New(block->memory, bytes);
        void* memory = block->memory;
        return {memory, block.release(), &release, c10::Device(c10::kCPU)};
      }
    }
    c10::DataPtr found = c10::GetCPUAllocator()->allocate(bytes);
    advise_huge_pages(found.get(), bytes);
    return found;
  }

  void copy_data(void* to, const void* from, size_t count) const override {
    default_copy_data(to, from, count);
  }

 private:
  std::unique_ptr<Block> take_cached(size_t bytes) {
    // Never wait for the lock: after a fork nobody may be there to release it.
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return nullptr;
    for (size_t k = free_.size(); k-- > 0;) {
      if (free_[k]->bytes != bytes) continue;
      auto block = std::move(free_[k]);
      free_.erase(free_.begin() + static_cast<Blocks::difference_type>(k));
      return block;
    }
    return nullptr;
  }

  void cache(std::unique_ptr<Block> block) {
    c10::profiledCPUMemoryReporter().Delete(block->memory);
    Blocks evicted;
    const std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock) return;
    size_t total = block->bytes;
    free_.push_back(std::move(block));
    // Evict the oldest blocks beyond the limit.
    for (size_t k = free_.size() - 1; k-- > 0;) {
      total += free_[k]->bytes;
      if (total <= MAX_CACHED_BYTES) continue;
      const auto end = free_.begin() + static_cast<Blocks::difference_type>(k) + 1;
      std::move(free_.begin(), end, std::back_inserter(evicted));
      free_.erase(free_.begin(), end);
      return;
    }
  }

  static void release(void* block);

  std::mutex mutex_;
  // In the order in which they were released.
  Blocks free_;
};

// Never destroyed, because gradients may outlive static objects.
CachingAllocator& allocator() {
  static CachingAllocator& only = *new CachingAllocator;
  return only;
}

void CachingAllocator::release(void* block) { allocator().cache(std::unique_ptr<Block>(static_cast<Block*>(block))); }

}  // namespace

at::Tensor empty_gradient_like(const at::Tensor& z) {
  return at::detail::empty_strided_generic(z.sizes(), z.strides(), &allocator(),
                                           c10::DispatchKeySet(c10::DispatchKey::CPU),
                                           z.scalar_type());
}

}  // namespace losses
