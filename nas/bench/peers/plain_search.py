"""The search that people write: Optuna's TPE and MedianPruner around Hugging Face's BERT, in one file.

python plain_search.py data.npz study.db --jobs 2 --seed 0

It is run as it stands, by `nas-bench search`, and imports nothing of ours. It has its best form on
a CPU: one process with one thread for each core, and a study in SQLite that they share.
"""

import argparse
import multiprocessing
import time

import numpy as np
import optuna
import torch
from transformers import BertConfig, BertForMaskedLM, get_cosine_schedule_with_warmup


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("data", help=".npz: train, validation_ids, validation_labels, vocab_size, ...")
    parser.add_argument("study", help="SQLite file")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument(
        "--trials", type=int, default=None, help="of each job; without it: until it is killed"
    )
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    open_study(args, args.seed)  # its tables, before two processes make them at once
    jobs = [multiprocessing.Process(target=search, args=(args, job)) for job in range(args.jobs)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()


def open_study(args, seed):
    return optuna.create_study(
        study_name="plain",
        storage=f"sqlite:///{args.study}",
        load_if_exists=True,
        direction="minimize",
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5),
    )


def search(args, job):
    torch.set_num_threads(max(1, torch.get_num_threads() // args.jobs))
    data = dict(np.load(args.data))
    study = open_study(args, args.seed * args.jobs + job)
    study.optimize(lambda trial: objective(trial, data, args), n_trials=args.trials)


def objective(trial, data, args):
    torch.manual_seed(args.seed)
    rng = np.random.default_rng(args.seed)
    dropout = trial.suggest_categorical("dropout", [0.0, 0.1])
    config = BertConfig(
        vocab_size=int(data["vocab_size"]),
        hidden_size=args.hidden_size,
        num_hidden_layers=trial.suggest_int("num_layers", 1, 6),
        num_attention_heads=trial.suggest_categorical("num_heads", [1, 2, 4, 8]),
        intermediate_size=trial.suggest_categorical("intermediate_size", [64, 128, 256, 512]),
        hidden_act=trial.suggest_categorical("activation", ["gelu", "relu", "silu"]),
        hidden_dropout_prob=dropout,
        attention_probs_dropout_prob=dropout,
        max_position_embeddings=data["validation_ids"].shape[1],
    )
    model = BertForMaskedLM(config)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=trial.suggest_float("lr", 3e-4, 1e-2, log=True),
        weight_decay=trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True),
    )
    warmup = round(trial.suggest_categorical("warmup", [0.0, 0.1]) * args.steps)
    schedule = get_cosine_schedule_with_warmup(optimizer, warmup, args.steps)
    loss = float("inf")
    for step in range(1, args.steps + 1):
        ids, labels = train_batch(data, args.batch_size, rng)
        model(input_ids=ids, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if step in (args.steps // 4, args.steps // 2, args.steps):
            loss = evaluate(model, data)
            trial.report(loss, step)
            if step < args.steps and trial.should_prune():
                raise optuna.TrialPruned
    return loss


def train_batch(data, batch_size, rng):
    length, masked = data["validation_ids"].shape[1], int(data["masked_per_row"])
    starts = rng.integers(len(data["train"]) - length, size=batch_size)
    tokens = torch.from_numpy(data["train"][starts[:, None] + np.arange(length)].astype(np.int64))
    hidden = torch.rand(tokens.shape).topk(masked, dim=1).indices
    labels = torch.full_like(tokens, -100).scatter(1, hidden, tokens.gather(1, hidden))
    return tokens.scatter(1, hidden, int(data["mask_id"])), labels


@torch.no_grad()
def evaluate(model, data):
    """The mean loss of the hidden positions; every row hides equally many."""
    model.eval()
    ids, labels = torch.from_numpy(data["validation_ids"]), torch.from_numpy(data["validation_labels"])
    losses = [
        model(input_ids=some, labels=asked).loss * len(some)
        for some, asked in zip(ids.split(64), labels.split(64), strict=True)
    ]
    model.train()
    return float(sum(losses) / len(ids))


if __name__ == "__main__":
    began = time.monotonic()
    main()
    print(f"{time.monotonic() - began:.1f} s")
