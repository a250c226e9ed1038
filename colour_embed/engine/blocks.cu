// Whole epochs of training in one launch: a thread block for each member, its parameters in shared
// memory. `blocks.py` describes the arguments. Constants of the compilation: ITEMS, DIM, BATCH (pairs
// of a step), BATCH_BOUND (the next power of two), THREADS (of a block, a multiple of 32) and
// NEGATIVE (1 for the head "negative", 0 for "free").

constexpr int SIZE = ITEMS * DIM;     // of the embedding
constexpr int PARAMETERS = SIZE + 2;  // the embedding by rows, then the head's kernel and bias
constexpr int OWN = (PARAMETERS + THREADS - 1) / THREADS;  // parameters of a thread
constexpr int TAKEN = (BATCH + THREADS - 1) / THREADS;     // pairs of a thread in a step

// A gradient is a sum of integers: floats would be summed in another order in each run, and give
// other bits. A value is added as coarse / COARSE + fine / FINE. In a step at most 2 * BATCH values
// are added to a sum, which stays below 2^31 if each is below LIMIT.
constexpr float COARSE = (1 << 19) / BATCH_BOUND;
constexpr float FINE = 1 << 30;
constexpr float LIMIT = 1 << 11;

struct Parts {
    int coarse, fine;
};

__device__ inline Parts parts_of(float value) {
    const int coarse = value * COARSE;
    return {coarse, (int)((value - coarse * (1 / COARSE)) * FINE)};
}

// The fine parts of all sums stand behind the coarse ones, so that fewer threads meet in a bank.
__device__ inline void add(int* sum, Parts value) {
    atomicAdd(sum, value.coarse);
    atomicAdd(sum + PARAMETERS, value.fine);
}

// Adds the values of all threads of a warp to one sum.
__device__ inline void add_of_warp(int* sum, float value) {
    Parts parts = parts_of(value);
    parts.coarse = __reduce_add_sync(0xffffffff, parts.coarse);
    parts.fine = __reduce_add_sync(0xffffffff, parts.fine);
    if (threadIdx.x % 32 == 0) add(sum, parts);
}

__device__ inline float softplus(float value) {
    return fmaxf(value, 0) + logf(1 + expf(-fabsf(value)));
}

__device__ inline float sigmoid(float value) {
    const float small = expf(-fabsf(value));
    return (value >= 0 ? 1 : small) / (1 + small);
}

__device__ inline float weight_of(float kernel) { return NEGATIVE ? -softplus(kernel) : kernel; }
__device__ inline float slope_of(float kernel) { return NEGATIVE ? -sigmoid(kernel) : 1; }

extern "C" __global__ void __launch_bounds__(THREADS, MIN_BLOCKS) train_epochs(
    float* state, int* diverged, const float* adam, const float* rates, const unsigned* codes,
    float* metrics, float* kept, int epochs, int orders, int count, int first_epoch, int keep) {
    extern __shared__ int memory[];
    int* gradient = memory;
    float* table = (float*)(gradient + 2 * PARAMETERS);
    float* totals = table + PARAMETERS;
    float* weight = totals + 2 * THREADS;

    const int member = blockIdx.x, thread = threadIdx.x;
    const int steps = (count + BATCH - 1) / BATCH;
    const float beta1 = adam[3 * member], beta2 = adam[3 * member + 1];
    const float epsilon = adam[3 * member + 2];
    rates += (long)member * epochs * steps;
    codes += (long)(orders > 1 ? member : 0) * steps * BATCH;
    metrics += (long)member * epochs * 2;
    kept += (long)member * epochs * SIZE;
    float* saved = state + (long)member * 3 * PARAMETERS;

    float mean[OWN], square[OWN];
    unsigned code[TAKEN];
#pragma unroll
    for (int i = 0; i < OWN; i++) {
        const int place = thread + i * THREADS;
        if (place >= PARAMETERS) continue;
        table[place] = saved[place];
        mean[i] = saved[PARAMETERS + place];
        square[i] = saved[2 * PARAMETERS + place];
        gradient[place] = gradient[PARAMETERS + place] = 0;
    }
    if (thread == 0) *weight = weight_of(saved[SIZE]);
    bool well = diverged[member] == 0;
    __syncthreads();

    for (int epoch = 0; epoch < epochs; epoch++) {
        float loss = 0, squared_error = 0;
        bool in_range = true;
#pragma unroll
        for (int i = 0; i < TAKEN; i++) code[i] = codes[min(thread + i * THREADS, BATCH - 1)];
        for (int step = 0; well && step < steps; step++) {
            const int pairs = min(BATCH, count - step * BATCH);
            const float slope = *weight, bias = table[SIZE + 1];
#pragma unroll
            for (int i = 0; i < TAKEN; i++) {
                const bool padding = thread + i * THREADS >= pairs;
                const int first = (code[i] >> 16) * DIM, second = (code[i] >> 1 & 0x7fff) * DIM;
                const float label = code[i] & 1;
                float difference[DIM], feature = 0;
                for (int j = 0; j < DIM; j++) {
                    difference[j] = table[first + j] - table[second + j];
                    feature += difference[j] * difference[j];
                }
                const float logit = slope * feature + bias, small = expf(-fabsf(logit));
                float error = (logit >= 0 ? 1 : small) / (1 + small) - label;
                if (padding) error = 0;
                else loss += fmaxf(logit, 0) - label * logit + logf(1 + small);
                squared_error += error * error;
                const float factor = 2 * slope * error;
                if (!(feature < LIMIT && factor * factor * feature < LIMIT * LIMIT)) {
                    in_range = false;
                    error = feature = 0;
                }
                add_of_warp(&gradient[SIZE], error * feature);
                add_of_warp(&gradient[SIZE + 1], error);
                if (padding || !in_range) continue;
                for (int j = 0; j < DIM; j++) {
                    const Parts value = parts_of(factor * difference[j]);
                    add(&gradient[first + j], value);
                    add(&gradient[second + j], {-value.coarse, -value.fine});
                }
            }
            __syncthreads();
            // The pairs of the next step are fetched while the parameters are updated.
            const unsigned* next = codes + (step + 1 < steps ? step + 1 : step) * BATCH;
#pragma unroll
            for (int i = 0; i < TAKEN; i++) code[i] = next[min(thread + i * THREADS, BATCH - 1)];
            const float rate = rates[epoch * steps + step], share = 1.0f / pairs;
#pragma unroll
            for (int i = 0; i < OWN; i++) {
                const int place = thread + i * THREADS;
                if (place >= PARAMETERS) continue;
                float slope = gradient[place] * (1 / COARSE);
                slope = share * (slope + gradient[PARAMETERS + place] * (1 / FINE));
                gradient[place] = gradient[PARAMETERS + place] = 0;
                if (place == SIZE) slope *= slope_of(table[SIZE]);
                mean[i] = beta1 * mean[i] + (1 - beta1) * slope;
                square[i] = beta2 * square[i] + (1 - beta2) * slope * slope;
                table[place] -= rate * mean[i] / (sqrtf(square[i]) + epsilon);
                if (place == SIZE) *weight = weight_of(table[SIZE]);
            }
            __syncthreads();
        }
        codes += (long)orders * steps * BATCH;

        // The end of the epoch. A member that has diverged keeps the state before the epoch.
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            const int place = thread + i * THREADS;
            if (place < PARAMETERS) in_range = in_range && isfinite(table[place]);
        }
        totals[thread] = loss;
        totals[THREADS + thread] = squared_error;
        if (!__syncthreads_and(in_range) && well) {
            well = false;
            if (thread == 0) diverged[member] = first_epoch + epoch;
        }
        if (thread < 2) {
            float total = 0;
            for (int other = 0; other < THREADS; other++) total += totals[thread * THREADS + other];
            metrics[2 * epoch + thread] = well ? total / count : nanf("");
        }
#pragma unroll
        for (int i = 0; i < OWN; i++) {
            const int place = thread + i * THREADS;
            if (place >= PARAMETERS) continue;
            if (well) {
                saved[place] = table[place];
                saved[PARAMETERS + place] = mean[i];
                saved[2 * PARAMETERS + place] = square[i];
            }
            if (keep && place < SIZE) kept[(long)epoch * SIZE + place] = saved[place];
        }
        __syncthreads();
    }
}
