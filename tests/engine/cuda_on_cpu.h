// What blocks.cu needs of CUDA, on the CPU: each thread of a block is a thread, blocks run in turn.
#include <array>
#include <atomic>
#include <barrier>
#include <cmath>
#include <memory>
#include <thread>
#include <vector>

#define __global__
#define __device__
#define __launch_bounds__(...)
#define __shared__

using std::isfinite;
template <class T> T min(T a, T b) { return a < b ? a : b; }

struct Index { int x; };
inline thread_local Index threadIdx;
inline Index blockIdx;

constexpr int WARPS = THREADS / 32;
inline int memory[1 << 16];  // the block's shared memory
inline std::unique_ptr<std::barrier<>> of_block;
inline std::array<std::unique_ptr<std::barrier<>>, WARPS> of_warp;
inline std::atomic<bool> all_true;
inline std::array<std::atomic<int>, WARPS> sums;

inline void __syncthreads() { of_block->arrive_and_wait(); }

inline bool __syncthreads_and(bool value) {
    all_true = true;
    __syncthreads();
    if (!value) all_true = false;
    __syncthreads();
    const bool found = all_true;
    __syncthreads();
    return found;
}

inline int __reduce_add_sync(unsigned, int value) {
    const int warp = threadIdx.x / 32;
    sums[warp] = 0;
    of_warp[warp]->arrive_and_wait();
    sums[warp] += value;
    of_warp[warp]->arrive_and_wait();
    const int found = sums[warp];
    of_warp[warp]->arrive_and_wait();
    return found;
}

inline void atomicAdd(int* place, int value) { std::atomic_ref<int>(*place).fetch_add(value); }

#include SOURCE

extern "C" void launch(
    int blocks, float* state, int* diverged, const float* adam, const float* rates,
    const unsigned* codes, float* metrics, float* kept, int epochs, int orders, int count,
    int first_epoch, int keep) {
    of_block = std::make_unique<std::barrier<>>(THREADS);
    for (auto& barrier : of_warp) barrier = std::make_unique<std::barrier<>>(32);
    for (blockIdx.x = 0; blockIdx.x < blocks; blockIdx.x++) {
        std::vector<std::thread> threads;
        for (int thread = 0; thread < THREADS; thread++)
            threads.emplace_back([=] {
                threadIdx.x = thread;
                train_epochs(state, diverged, adam, rates, codes, metrics, kept, epochs, orders,
                             count, first_epoch, keep);
            });
        for (auto& thread : threads) thread.join();
    }
}
