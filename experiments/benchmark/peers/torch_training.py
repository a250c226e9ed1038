"""The training as a plain loop in PyTorch, on a GPU if there is one, else on the CPU.

On the CPU it uses one thread or PyTorch's default number, whichever is faster.
"""

import time

from _peer import load_problem, serve


def prepare(path):
    import torch
    from torch import nn

    problem = load_problem(path)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    index = torch.from_numpy(problem.index.astype("int64")).to(device)
    label = torch.from_numpy(problem.label).to(device)
    loss_of = nn.BCEWithLogitsLoss()
    many = torch.get_num_threads()
    chosen_threads = []

    def train(epochs):
        embedding = nn.Embedding.from_pretrained(
            torch.tensor(problem.embedding, dtype=torch.float32), freeze=False
        )
        dense = nn.Linear(1, 1)
        with torch.no_grad():
            dense.weight.copy_(torch.tensor(problem.kernel))
            dense.bias.copy_(torch.tensor(problem.bias))
        parameters = [*embedding.to(device).parameters(), *dense.to(device).parameters()]
        optimizer = torch.optim.Adam(parameters, lr=1e-3, eps=1e-7, fused=True)
        snapshots = []
        for _ in range(epochs):
            total = torch.zeros((), device=device)
            for batch in torch.randperm(len(label), device=device).split(problem.batch_size):
                rows = embedding(index[batch])
                squared_distance = ((rows[:, 0] - rows[:, 1]) ** 2).sum(-1, keepdim=True)
                loss = loss_of(dense(squared_distance)[:, 0], label[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach() * len(batch)
            snapshots.append(embedding.weight.detach().clone())
        return total.item() / len(label)

    def timed(epochs, threads):
        torch.set_num_threads(threads)
        began = time.perf_counter()
        loss = train(epochs)
        return time.perf_counter() - began, loss

    def answer(number):
        if not chosen_threads:
            # On small batches more threads can be slower, so the faster number is chosen, by the
            # minimum of three alternating trials.
            counts = {1, many} if device == "cpu" else {many}
            tries = [(timed(2, count)[0], count) for _ in range(3) for count in counts]
            chosen_threads.append(min(tries)[1])
        torch.manual_seed(number)
        epochs = problem.run_epochs
        seconds, loss = timed(epochs, chosen_threads[0])
        threads = {"threads": chosen_threads[0]} if device == "cpu" else {}
        counts = {"epochs_run": epochs, "epochs_timed": epochs}
        return {"seconds": seconds, "loss": loss, **counts, **threads}

    return answer, {"versions": {"torch": torch.__version__}, "device": device}


serve(prepare)
