"""The training loop: steps, epochs, validation, checkpoints, and what happens when a step fails.

All randomness of step ``k`` follows from ``(seed, k, rank)``, so nothing random is stored and a
run that was killed goes on with the very numbers it would have drawn.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from unmask.augment import Augment
from unmask.config import TrainConfig
from unmask.data.loader import Batch, ClipLoader, TrainingData
from unmask.device.memory import is_out_of_memory, release_memory
from unmask.errors import RunError
from unmask.models import Detector, Output, build_loss, distillation, save_model
from unmask.progress import Progress, say
from unmask.training.amp_memory import compare_memory
from unmask.training.batch_size import find_batch_size
from unmask.training.checkpoint import Checkpoint, RunState, load_last, save_last
from unmask.training.fabric import pick_precision, tune_attention
from unmask.training.monitor import Monitor, thinned
from unmask.training.optim import (
    build_average,
    build_optimizer,
    build_plateau,
    set_trapezoid,
    warm_up,
)
from unmask.training.snapshot import Snapshot
from unmask.training.validate import Validation, validate

SKIPS_UNTIL_ROLLBACK = 3
ROLLBACKS_UNTIL_STOP = 2


class Trainer:
    """Trains one detector on one machine's devices; `fit` runs it to its end.

    Args:
        fabric: launched.
        config: the run's settings.
        model: fresh, on the CPU.
        train: what to train on.
        val: loader of the validation split, every track of it.
        run: folder of the run.
        teacher: a trained detector whose scores are learned as well.
    """

    def __init__(
        self,
        fabric: Fabric,
        config: TrainConfig,
        model: Detector,
        train: TrainingData,
        val: ClipLoader,
        run: Path,
        teacher: Detector | None = None,
    ) -> None:
        self.fabric, self.config, self.run = fabric, config, run
        self.train_loader, self.val_loader = train, val
        self.plain_model = model
        self.teacher = None if teacher is None else teacher.to(fabric.device).eval()
        optimizer = build_optimizer(model, config.optim, fabric.device)
        if config.loop.channels_last:
            model.to(memory_format=torch.channels_last)
        device = fabric.device.type
        tune_attention(model, pick_precision(config.loop, device, config.model), device)
        self.model, self.optimizer = fabric.setup(model, optimizer)
        self.forward = torch.compile(self.model) if config.loop.compile else self.model
        self.average = build_average(model, config.optim.ema)
        self.plateau = build_plateau(optimizer, config.optim)
        self.loss = build_loss(config.loss)
        self.augment = Augment(config.augment)
        self.state = RunState()
        self.skipped: list[tuple[str, ...]] = []
        self.micro = 0
        self._began = 0.0

    # ---------------------------------------------------------------- a run

    def fit(self) -> RunState:
        """Train until the last epoch, early stopping, or the time limit."""
        self._resume()
        loop = self.config.loop
        if not self.state.batch_size:
            self.state.batch_size = loop.batch_size or self.find_batch_size()
        self.micro = math.ceil(self.state.batch_size / self.fabric.world_size)
        if self.state.amp_memory is None and self._is_mixed_on_one_gpu():
            self.state.amp_memory = self._compare_memory()
        with Monitor(self.fabric.device, clock=self.train_loader.clock) as monitor:
            while not self.state.finished:
                self._began = time.perf_counter()
                monitor.restart()
                self._epoch(monitor)
                self._close_epoch(monitor, self._elapsed())
        return self.state

    def _resume(self) -> None:
        last = load_last(self._last, self.fabric.device)
        if last is None:
            return
        self._load(last)
        self.state = last.state
        over = self._is_early() or self._is_late() or last.state.epoch >= self.config.loop.epochs
        self.state.finished &= over  # it may have been given more time
        if not last.state.finished:
            self._say(f"Resuming at epoch {self.state.epoch + 1}, step {self.state.step_in_epoch}.")

    def _load(self, last: Checkpoint) -> None:
        self.plain_model.load_state_dict(last.model)
        self.optimizer.load_state_dict(last.optimizer["optimizer"])
        self.plateau.load_state_dict(last.optimizer["plateau"])
        if self.average is not None and last.ema:
            self.average.load_state_dict(last.ema)

    def _save(self, under_way_seconds: float = 0.0) -> None:
        """Write the checkpoint; ``under_way_seconds`` are those of the epoch that goes on."""
        if not self.fabric.is_global_zero:
            return
        state = replace(self.state, seconds=self.state.seconds + under_way_seconds)
        save_last(
            self._last,
            self.plain_model.state_dict(),
            {"optimizer": self.optimizer.state_dict(), "plateau": self.plateau.state_dict()},
            state,
            self.average.state_dict() if self.average is not None else {},
        )

    # ---------------------------------------------------------------- an epoch

    def _epoch(self, monitor: Monitor) -> None:
        """Steps of one epoch, from where the last checkpoint left it."""
        state, loop = self.state, self.config.loop
        if loop.deterministic:
            torch.use_deterministic_algorithms(True)
        self.model.train()
        batches = self.train_loader.batches(
            state.epoch,
            state.batch_size,
            first=state.step_in_epoch,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
        )
        steps = self._steps_per_epoch()
        title = f"epoch {state.epoch + 1}/{loop.epochs}"
        with Progress(title, steps, "steps", shown=self.fabric.is_global_zero) as progress:
            progress.advance(state.step_in_epoch)
            for batch in monitor.watch(batches):
                loss = self._step(batch)
                state.step += 1
                state.step_in_epoch += 1
                if loss is not None:
                    state.epoch_losses.append(loss)
                monitor.step(len(batch) * batch.mask.shape[1] * self.fabric.world_size)
                note = f"loss {loss:.4f}" if loss is not None else "loss not finite, skipped"
                progress.advance(1, f"{note}  {monitor.images_per_second:.0f} img/s")
                if state.step_in_epoch >= steps:
                    break
                if state.step % loop.checkpoint_steps == 0:
                    self._save(time.perf_counter() - self._began)

    def _close_epoch(self, monitor: Monitor, seconds: float) -> None:
        """Validate, schedule, keep the best, write the history row and the checkpoint."""
        state, config = self.state, self.config
        throughput = monitor.epoch_summary()
        points = [{**p, "seconds": state.seconds + p["seconds"]} for p in monitor.course()]
        state.course = thinned(state.course + points)
        began = time.perf_counter()
        result = validate(
            self.fabric, self._eval_model(), self.val_loader, self.loss, self._eval_batch()
        )
        validated = time.perf_counter() - began
        metric = result.auc_video if result.auc_video is not None else -result.loss
        rates = [group["lr"] for group in self.optimizer.param_groups]
        if config.optim.schedule == "plateau":
            self.plateau.step(metric)
        better = self._is_better(metric, result.loss)
        state.epoch += 1
        state.step_in_epoch = 0
        state.seconds += seconds
        losses, state.epoch_losses = state.epoch_losses, []
        state.history.append(
            {
                "epoch": state.epoch,
                "step": state.step,
                "train_loss": sum(losses) / len(losses) if losses else None,
                "val_loss": result.loss,
                "val_auc_video": result.auc_video,
                "val_accuracy_video": result.accuracy_video,
                "lr": max(rates),
                "batch_size": state.batch_size,
                "best": better,
                **throughput,
                "seconds": round(seconds, 2),
                "validation_seconds": round(validated, 2),
            }
        )
        if better:
            state.best_metric, state.best_loss = metric, result.loss
            state.best_epoch, state.epochs_without_gain = state.epoch, 0
            self._save_best(result)
        else:
            state.epochs_without_gain += 1
        early, late = self._is_early(), self._is_late()
        state.finished = early or late or state.epoch >= config.loop.epochs
        self._save()
        self._tell_epoch(result, early=early, late=late)
        self.fabric.barrier()

    def _is_early(self) -> bool:
        return self.state.epochs_without_gain >= self.config.optim.early_stop_patience

    def _is_late(self) -> bool:
        return 0 < self.config.loop.max_minutes * 60 <= self.state.seconds

    def _is_better(self, metric: float, loss: float) -> bool:
        """Higher video-level AUC; equal AUCs are told apart by the validation loss."""
        best, best_loss = self.state.best_metric, self.state.best_loss
        if best is None or best_loss is None:
            return True
        return metric > best or (metric == best and loss < best_loss)

    def _save_best(self, result: Validation) -> None:
        if not self.fabric.is_global_zero:
            return
        metrics: dict[str, Any] = {"val_auc_video": result.auc_video, "val_loss": result.loss}
        if result.auc_by_method:
            metrics["val_auc_by_method"] = result.auc_by_method
        folder = self.run / "models"
        save_model(
            folder / "best_model.pth",
            folder / "best_model.safetensors",
            self._eval_model(),
            self.config,
            calibration={},
            metrics={**metrics, "epoch": self.state.epoch},
        )

    # ---------------------------------------------------------------- a step

    def _step(self, batch: Batch) -> float | None:
        """One optimiser step; the loss, or None where it was not finite and nothing changed."""
        state = self.state
        optim = self.config.optim
        if optim.schedule == "trapezoid":
            progress = self._progress()
            set_trapezoid(self.optimizer, progress, optim.decay_share)
            if progress > 1 - optim.decay_share:
                self.plain_model.settle()
        warm_up(self.optimizer, state.step, optim.warmup_steps)
        statistics = Snapshot.of_statistics(self.plain_model)
        while (loss := self._tried(batch)) is None:
            statistics.restore()
            release_memory(self.fabric.device)  # the attempt's error, which held it, is gone
        with self.train_loader.clock.stage("optimiser"):
            finite = self._all_finite(loss)
            if finite:
                self._update()
        if not finite:
            self.optimizer.zero_grad(set_to_none=True)
            statistics.restore()  # the forward pass has written into them
            self._skip(batch)
            return None
        self.skipped.clear()
        return loss

    def _tried(self, batch: Batch) -> float | None:
        """The loss, its gradients in place; None where the memory was too small and the
        micro-batch has been halved."""
        try:
            return self._forward_backward(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            self._halve_micro(error)
        return None

    def _update(self) -> None:
        """Gradients into weights."""
        optim = self.config.optim
        if optim.clip_norm:
            self.fabric.clip_gradients(
                self.model,
                self.optimizer,
                max_norm=optim.clip_norm,
                error_if_nonfinite=False,
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.plain_model)

    def _forward_backward(self, batch: Batch, *, alone: bool = False) -> float:
        """Gradients of the whole batch, accumulated over micro-batches that fit in memory;
        ``alone``: of this rank's share, without a word to the others."""
        self.optimizer.zero_grad(set_to_none=True)
        draws, clock = self._seed_step(), self.train_loader.clock
        if not batch.degraded:
            with clock.stage("augment"):
                clips = self.augment(batch.clips, draws, batch.pairs)
                batch = replace(batch, clips=clips)
        total = torch.zeros((), device=self.fabric.device)
        for start in range(0, len(batch), self.micro):
            part = batch.part(start, start + self.micro)
            last = start + self.micro >= len(batch)
            with self.fabric.no_backward_sync(self.model, enabled=alone or not last):
                with clock.stage("forward"):
                    output = self.forward(part.clips, part.mask)
                    loss = self.loss(output, part.labels, part.mask, part.patches)
                    loss = loss + self._distillation(part, output)
                    loss = loss * (len(part) / len(batch))
                with clock.stage("backward"):
                    self.fabric.backward(loss)
            total += loss.detach()
        if alone:
            return float(total)
        return float(torch.as_tensor(self.fabric.all_reduce(total, reduce_op="mean")))

    def _distillation(self, part: Batch, output: Output) -> torch.Tensor:
        """How far the clip logits are from the teacher's; 0 without one."""
        if self.teacher is None:
            return torch.zeros((), device=self.fabric.device)
        with torch.no_grad(), self.fabric.autocast():
            taught = self.teacher(part.clips, part.mask).clip_logit
        return self.config.loss.teacher_weight * distillation(output.clip_logit, taught)

    def _seed_step(self) -> torch.Generator:
        """Seeds dropout for this step and gives the generator of its augmentations."""
        loop = self.config.loop
        seed = hash((loop.seed, self.state.step, self.fabric.global_rank)) & 0x7FFF_FFFF
        torch.manual_seed(seed)
        return torch.Generator().manual_seed(seed)

    def _all_finite(self, loss: float) -> bool:
        """True when the loss and, in full precision, every gradient is finite on every rank."""
        if not math.isfinite(loss):
            return False
        if self.fabric._precision.precision == "16-mixed":
            return True  # the gradient scaler skips overflowing steps by itself
        norms = [p.grad.norm() for p in self.plain_model.parameters() if p.grad is not None]
        return bool(torch.isfinite(torch.stack(norms)).all()) if norms else True

    def _skip(self, batch: Batch) -> None:
        """A step without a finite loss: skip; after several, roll back; in the end, stop."""
        names = self.train_loader.names(batch)
        self.skipped.append(names)
        self._say(f"Step {self.state.step}: the loss is not finite; skipped ({', '.join(names)}).")
        if len(self.skipped) < SKIPS_UNTIL_ROLLBACK:
            return
        if self.state.rollbacks >= ROLLBACKS_UNTIL_STOP:
            listed = "; ".join(", ".join(names) for names in self.skipped)
            raise RunError(
                f"The loss stays non-finite at step {self.state.step}. Last batches: {listed}.",
                code="run_diverged",
                hint="Lower optim.lr, or look at these videos.",
            )
        self._roll_back()

    def _roll_back(self) -> None:
        """Back to the last checkpoint's weights, on with the next batches at half the rate."""
        self.state.rollbacks += 1
        self.skipped.clear()
        last = load_last(self._last, self.fabric.device)
        if last is not None:
            self._load(last)
        for group in self.optimizer.param_groups:
            group["lr"] *= 0.5
            group["initial_lr"] *= 0.5
        self._say("Rolled back to the last checkpoint; the learning rate is halved.")

    def _halve_micro(self, error: BaseException) -> None:
        """Half as many clips at once; the effective batch stays."""
        if self.micro <= 1 or self.fabric.world_size > 1:
            raise RunError(
                "The device's memory is too small for this batch.",
                code="run_memory",
                hint="Lower loop.batch_size, clip.frames or clip.size_px.",
            ) from error
        half = math.ceil(self.micro / 2)
        self.micro = half if half == 1 else half + half % 2  # even: pairs stay whole
        self._say(f"Out of memory: going on with {self.micro} clips at once, same effective batch.")

    # ---------------------------------------------------------------- small things

    def find_batch_size(self) -> int:
        """Try growing batches of real clips; weights and gradients are left as they were."""
        loader, world = self.train_loader, self.fabric.world_size
        before = Snapshot(self.plain_model.state_dict().values())
        self.micro = self.config.loop.max_batch_size

        def attempt(size: int) -> float:
            batch = loader.probe(size)
            began = time.perf_counter()
            self._forward_backward(batch, alone=True)  # ranks may try unequally often
            if self.fabric.device.type == "cuda":
                torch.cuda.synchronize()
            return time.perf_counter() - began

        self.model.train()
        most = max(min(self.config.loop.max_batch_size, len(loader) // 4) // world, 1)
        try:
            size = find_batch_size(attempt, self.fabric.device, most)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise RunError(
                "The memory is too small for a single clip.",
                code="run_memory",
                hint="Lower clip.frames or clip.size_px, or choose a smaller model.backbone.",
            ) from error
        if world > 1:
            smallest = self.fabric.all_reduce(torch.tensor(-float(size)), reduce_op="max")
            size = -int(torch.as_tensor(smallest))
        self.optimizer.zero_grad(set_to_none=True)
        before.restore()
        self._say(f"Batch size found: {size * world} clips a step.")
        return size * world

    def _is_mixed_on_one_gpu(self) -> bool:
        mixed = str(self.fabric._precision.precision).endswith("-mixed")
        return mixed and self.fabric.device.type == "cuda" and self.fabric.world_size == 1

    def _compare_memory(self) -> dict[str, float | None]:
        """Peak memory of a step with mixed precision and without; nothing else is left of it."""
        batch = self.train_loader.probe(self.micro)
        before = Snapshot(self.plain_model.state_dict().values())

        def step(mixed: bool) -> None:
            forward = self.model if mixed else self.plain_model
            output = forward(batch.clips, batch.mask)
            loss = self.loss(output, batch.labels, batch.mask, batch.patches)
            self.fabric.backward(loss)
            self.optimizer.zero_grad(set_to_none=True)

        self.model.train()
        try:
            return compare_memory(step, self.fabric.device)
        finally:
            self.optimizer.zero_grad(set_to_none=True)
            before.restore()

    def _progress(self) -> float:
        """How much of the run is behind us, 0-1, by epochs or by minutes: whichever is further."""
        state, loop = self.state, self.config.loop
        by_epochs = (state.epoch + state.step_in_epoch / self._steps_per_epoch()) / loop.epochs
        if not loop.max_minutes:
            return by_epochs
        return max(by_epochs, (state.seconds + self._elapsed()) / (60 * loop.max_minutes))

    def _elapsed(self) -> float:
        """Seconds of the epoch under way, by the first rank's clock: all must decide alike."""
        seconds = time.perf_counter() - self._began
        return seconds if self.fabric.world_size == 1 else float(self.fabric.broadcast(seconds))

    def _steps_per_epoch(self) -> int:
        steps = math.ceil(len(self.train_loader) / self.state.batch_size)
        limit = self.config.loop.steps_per_epoch
        return min(steps, limit) if limit else steps

    def _eval_model(self) -> Detector:
        model: Any = self.plain_model if self.average is None else self.average.module
        return model  # type: ignore[no-any-return]

    def _eval_batch(self) -> int:
        return max(self.micro, 1)

    @property
    def _last(self) -> Path:
        return self.run / "models" / "last"

    def _say(self, text: str) -> None:
        if self.fabric.is_global_zero:
            say(text)

    def _tell_epoch(self, result: Validation, *, early: bool, late: bool) -> None:
        row = self.state.history[-1]
        auc = row["val_auc_video"]
        self._say(
            f"epoch {row['epoch']}/{self.config.loop.epochs}"
            f"  train loss {row['train_loss'] or 0:.4f}"
            f"  val loss {row['val_loss']:.4f}  val AUC {'-' if auc is None else f'{auc:.4f}'}"
            f"  {row['images_per_second']:.0f} img/s  {row['seconds']:.0f} s"
            + ("  best so far" if row["best"] else "")
        )
        if len(result.auc_by_method) > 1:
            parts = (f"{name} {auc:.3f}" for name, auc in result.auc_by_method.items())
            self._say(f"  val AUC by method: {', '.join(parts)}")
        if early:
            self._say(f"Early stopping: no gain for {self.state.epochs_without_gain} epochs.")
        if late:
            self._say(f"Stopping at the limit of {self.config.loop.max_minutes:g} minutes.")
