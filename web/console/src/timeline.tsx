// A run as lanes over time: the whole site, and one lane for each node.
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Run, Step } from "./api";
import { clock, duration } from "./parts";
import { words } from "./words";

const kinds: Record<string, string> = {
  ok_to_stop: "drain",
  ok_to_stop_again: "drain",
  drain: "drain",
  maint: "drain",
  stop: "restart",
  switch: "restart",
  start: "restart",
  await_active: "restart",
  trial: "compare",
  balance: "compare",
  soak: "compare",
  wait_until: "hold",
  hold_before_finalize: "hold",
  finalize: "finalize",
  await_stable: "finalize",
};

export function kindOf(step: Step): string {
  if (step.state === "refused" || (step.state === "paused" && step.name !== "hold_before_finalize")) return "trouble";
  if (step.back) return "back";
  return kinds[step.name] ?? "prepare";
}

interface Scale {
  /** 0 to 100; what lies outside is at the nearer end. */
  at: (ms: number) => number;
  /** The same; null outside. */
  place: (ms: number) => number | null;
  start: number;
  whole: number;
}
const recentMs = 15 * 60_000;
const endOf = (run: Run, now: number) => Math.max(run.ended_at_ms || now, run.started_at_ms + 1000);

function scaleOfRecent(run: Run, now: number): Scale {
  const end = endOf(run, now);
  const start = end - recentMs;
  const at = (ms: number) => Math.min(100, Math.max(0, ((ms - start) / recentMs) * 100));
  return { at, place: (ms) => (ms < start || ms > end ? null : at(ms)), start, whole: recentMs };
}

/** Waiting for a person may take hours: it is drawn as at most a sixth of the rest, so that the rest can be seen. */
function scaleOf(run: Run, steps: Step[], now: number): Scale {
  const start = run.started_at_ms;
  const end = endOf(run, now);
  const waits = steps
    .filter((step) => kindOf(step) === "hold" || step.state === "paused")
    .map((step) => ({ from: step.started_at_ms, to: step.ended_at_ms || end }))
    .sort((a, b) => a.from - b.from);
  const waited = waits.reduce((sum, wait) => sum + Math.max(0, wait.to - wait.from), 0);
  const worked = Math.max(1000, end - start - waited);
  const shrink = waited > 0 ? Math.min(1, worked / 6 / waited) : 1;
  const place = (ms: number) => {
    let out = ms - start;
    for (const wait of waits) out -= Math.max(0, Math.min(ms, wait.to) - wait.from) * (1 - shrink);
    return out;
  };
  const length = Math.max(1, place(end));
  const at = (ms: number) => Math.min(100, Math.max(0, (place(ms) / length) * 100));
  return { at, place: (ms) => (ms < start || ms > end ? null : at(ms)), start, whole: end - start };
}

/** What else is drawn on the axis, and then the axis with its legend: `place` tells where a moment lies, 0 to 100, or null where it is not on it. */
type Below = (place: (ms: number) => number | null, axis: ComponentChildren) => ComponentChildren;
const nothingElse: Below = (_place, axis) => axis;

export function Timeline({ run, steps, now, names, below = nothingElse }: { run: Run; steps: Step[]; now: number; names: string[]; below?: Below }) {
  const [recent, setRecent] = useState(false);
  const long = endOf(run, now) - run.started_at_ms > recentMs;
  const began = steps.filter((step) => step.started_at_ms > 0);
  const scale = long && recent ? scaleOfRecent(run, now) : scaleOf(run, began, now);
  const drawn = began.filter((step) => (step.ended_at_ms || now) >= scale.start);
  const lanes = [{ node: "", title: words.run.site }, ...names.map((name) => ({ node: name, title: name }))];
  const used = [...new Set(drawn.map(kindOf))];
  return (
    <div class="timeline">
      {long && (
        <div class="spans" role="group" aria-label={words.run.timeline}>
          {[false, true].map((each) => (
            <button key={String(each)} type="button" class="button quiet" aria-pressed={recent === each} onClick={() => setRecent(each)}>
              {each ? words.run.recent : words.run.whole}
            </button>
          ))}
        </div>
      )}
      <div role="img" aria-label={words.run.timelineIn(duration(scale.whole))}>
        {lanes.map((lane) => (
          <div class="lane" key={lane.node}>
            <span class="lane-name">{lane.title}</span>
            <span class="lane-track">
              {drawn
                .filter((step) => step.node === lane.node)
                .map((step) => {
                  const left = scale.at(step.started_at_ms);
                  const right = scale.at(step.ended_at_ms || (run.ended_at_ms || now));
                  const open = !step.ended_at_ms && !run.ended_at_ms;
                  return (
                    <span
                      key={step.seq}
                      class={`piece piece-${kindOf(step)}${open ? " piece-open" : ""}`}
                      style={{ transform: `translateX(${left}cqw)`, width: `${Math.max(right - left, 0.35)}cqw` }}
                      title={`${step.title}: ${words.run.stepStates[step.state] ?? step.state}, ${duration((step.ended_at_ms || now) - step.started_at_ms)}`}
                    />
                  );
                })}
            </span>
          </div>
        ))}
      </div>
      {below(
        scale.place,
        <>
          <div class="axis" aria-hidden="true">
            <span>{clock(scale.start)}</span>
            <span>{duration(scale.whole)}</span>
          </div>
          <ul class="legend" aria-hidden="true">
            {Object.entries(words.run.kinds)
              .filter(([kind]) => used.includes(kind))
              .map(([kind, title]) => (
                <li key={kind}>
                  <span class={`swatch piece-${kind}`} />
                  {title}
                </li>
              ))}
          </ul>
        </>,
      )}
    </div>
  );
}
