/* The whole training written out for one core: what the hardware allows, as a lower bound.

   Started with the path of a raw file and the numbers of pairs and epochs. The file holds the first ids
   [pairs] and second ids [pairs] as int32, then the labels [pairs], embedding [ITEMS][DIM], kernel
   and bias as float32. It says {"versions": {}} and then trains once for each line that it reads,
   as _peer.py describes. ITEMS, DIM and BATCH are given by -D, so that loops can be unrolled. */

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SIZE (ITEMS * DIM)
#define RATE 1e-3
#define BETA1 0.9f
#define BETA2 0.999f
#define EPSILON 1e-7f

typedef struct {
  int pairs, epochs;
  int32_t *first, *second, *order;
  float *label, *start, *snapshots;
} Problem;

static void *must(void *pointer) {
  if (!pointer) {
    fprintf(stderr, "the file or the memory is missing\n");
    exit(1);
  }
  return pointer;
}

static void *read_array(FILE *file, size_t count) {
  void *array = must(malloc(4 * count));
  if (fread(array, 4, count, file) != count) must(NULL);
  return array;
}

/* Fisher and Yates, drawing from a linear congruential generator's high bits. */
static void shuffle(int32_t *order, int count, uint64_t state) {
  for (int i = count - 1; i > 0; i--) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    int j = (int)(((state >> 33) * (uint64_t)(i + 1)) >> 31);
    int32_t kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
}

static inline void adam(float *value, float *mean, float *square, float gradient, float rate) {
  *mean = BETA1 * *mean + (1 - BETA1) * gradient;
  *square = BETA2 * *square + (1 - BETA2) * gradient * gradient;
  *value -= rate * *mean / (sqrtf(*square) + EPSILON);
}

static double train(const Problem *problem, uint64_t run) {
  static float value[SIZE], mean[SIZE], square[SIZE], gradient[SIZE];
  static float apart[BATCH][DIM], distance[BATCH], slope[BATCH];
  static int left[BATCH], right[BATCH];
  float kernel = problem->start[SIZE], bias = problem->start[SIZE + 1];
  float kernel_mean = 0, kernel_square = 0, bias_mean = 0, bias_square = 0;
  double power1 = 1, power2 = 1, loss = 0;
  memcpy(value, problem->start, sizeof value);
  memset(mean, 0, sizeof mean);
  memset(square, 0, sizeof square);
  for (int i = 0; i < problem->pairs; i++) problem->order[i] = i;

  for (int epoch = 0; epoch < problem->epochs; epoch++) {
    shuffle(problem->order, problem->pairs, (run * 1000003 + epoch) * 77 + 1);
    loss = 0;
    for (int begin = 0; begin < problem->pairs; begin += BATCH) {
      int size = problem->pairs - begin < BATCH ? problem->pairs - begin : BATCH;
      float kernel_gradient = 0, bias_gradient = 0, batch_loss = 0;
      memset(gradient, 0, sizeof gradient);
      /* Separate loops, because the compiler makes vectors of those without gather or scatter. */
      for (int i = 0; i < size; i++) {
        int pair = problem->order[begin + i];
        left[i] = problem->first[pair] * DIM;
        right[i] = problem->second[pair] * DIM;
        slope[i] = problem->label[pair];
      }
      for (int i = 0; i < size; i++) {
        float sum = 0;
        for (int d = 0; d < DIM; d++) {
          apart[i][d] = value[left[i] + d] - value[right[i] + d];
          sum += apart[i][d] * apart[i][d];
        }
        distance[i] = sum;
      }
      for (int i = 0; i < size; i++) {
        float logit = kernel * distance[i] + bias, label = slope[i];
        float small = expf(-fabsf(logit));
        batch_loss += fmaxf(logit, 0) - logit * label + log1pf(small);
        float probability = logit >= 0 ? 1 / (1 + small) : small / (1 + small);
        float error = (probability - label) / size;
        kernel_gradient += error * distance[i];
        bias_gradient += error;
        slope[i] = 2 * kernel * error;
      }
      loss += batch_loss;
      for (int i = 0; i < size; i++)
        for (int d = 0; d < DIM; d++) {
          float part = slope[i] * apart[i][d];
          gradient[left[i] + d] += part;
          gradient[right[i] + d] -= part;
        }
      power1 *= BETA1;
      power2 *= BETA2;
      float rate = (float)(RATE * sqrt(1 - power2) / (1 - power1));
      for (int i = 0; i < SIZE; i++)
        adam(&value[i], &mean[i], &square[i], gradient[i], rate);
      adam(&kernel, &kernel_mean, &kernel_square, kernel_gradient, rate);
      adam(&bias, &bias_mean, &bias_square, bias_gradient, rate);
    }
    memcpy(problem->snapshots + (size_t)epoch * SIZE, value, sizeof value);
  }
  return loss / problem->pairs;
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  Problem problem = {.pairs = atoi(arguments[2]), .epochs = atoi(arguments[3])};
  FILE *file = must(fopen(arguments[1], "rb"));
  problem.first = read_array(file, problem.pairs);
  problem.second = read_array(file, problem.pairs);
  problem.label = read_array(file, problem.pairs);
  problem.start = read_array(file, SIZE + 2);
  fclose(file);
  problem.order = must(malloc(4 * (size_t)problem.pairs));
  problem.snapshots = must(malloc(4 * (size_t)problem.epochs * SIZE));
  puts("{\"versions\": {}}");
  fflush(stdout);

  char line[16];
  for (uint64_t run = 0; fgets(line, sizeof line, stdin); run++) {
    struct timespec began, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    double loss = train(&problem, run);
    clock_gettime(CLOCK_MONOTONIC, &ended);
    double seconds = (ended.tv_sec - began.tv_sec) + 1e-9 * (ended.tv_nsec - began.tv_nsec);
    printf("{\"seconds\": %.6f, \"epochs_run\": %d, \"epochs_timed\": %d, \"loss\": %.7f}\n",
           seconds, problem.epochs, problem.epochs, loss);
    fflush(stdout);
  }
  return 0;
}
