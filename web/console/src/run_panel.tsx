// One upgrade run: how far it is, what it does and waits for, and what it has done.
import type { Member, Run, Step } from "./api";
import type { Series } from "./live";
import { Badge, Said, clock, duration } from "./parts";
import type { Tone } from "./parts";
import { Plots } from "./plots_panel";
import { Timeline } from "./timeline";
import { words } from "./words";

export const isHeld = (run: Run) => run.held_since_ms > 0;
export const isOffline = (run: Run) => run.options?.offline === true;
export const hasEnded = (run: Run) => run.ended_at_ms > 0;

const tones: Record<string, Tone> = { running: "busy", paused: "bad", rolling_back: "waits", done: "good", cancelled: "plain", failed: "bad" };

/** What was done, step by step, and what was seen. */
export function StepsTable({ steps, label }: { steps: Step[]; label: string }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={label}>
      <table class="plain">
        <thead>
          <tr>
            <th scope="col">{words.run.step}</th>
            <th scope="col">{words.nodes.state}</th>
            <th scope="col" class="number">
              {words.run.took_}
            </th>
            <th scope="col">{words.run.what}</th>
          </tr>
        </thead>
        <tbody>
          {steps.map((step) => (
            <tr key={step.seq}>
              <td>{step.title}</td>
              <td>{words.run.stepStates[step.state] ?? step.state}</td>
              <td class="number">{step.ended_at_ms ? duration(step.ended_at_ms - step.started_at_ms) : ""}</td>
              <td>
                <Said text={step.detail} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function RunPanel({ run, steps, live, now, members, series }: { run: Run; steps: Step[]; live: boolean; now: number; members: Member[]; series: Series }) {
  const held = isHeld(run);
  const ended = hasEnded(run);
  const done = run.steps_done ?? steps.filter((step) => step.state === "done").length;
  const total = Math.max(run.steps_total ?? done, done, 1);
  const nodes = [...new Set([...members.map((member) => member.name), ...steps.map((step) => step.node).filter(Boolean)])];
  return (
    <section class="panel-box" aria-labelledby="run-heading">
      <div class="box-head">
        <h2 id="run-heading">{ended ? words.run.latest(run.id) : words.run.heading(run.id)}</h2>
        <span class="run-way">{words.run.way(run.from, [...run.hops.slice(0, -1), run.to].join(" → "))}</span>
        <Badge tone={held ? "waits" : (tones[run.state] ?? "plain")}>{words.run.states[held ? "held" : run.state] ?? run.state}</Badge>
        {!ended && <span class={`live ${live ? "" : "live-off"}`}>{live ? words.run.live : words.run.reconnecting}</span>}
      </div>
      <p class="meta">
        {words.run.startedBy(run.actor, clock(run.started_at_ms))}
        {ended && <>, {words.run.took(duration(run.ended_at_ms - run.started_at_ms))}</>}
        {run.reason && (
          <>
            . {words.run.reason}: {run.reason}
          </>
        )}
      </p>
      {!ended && (
        <>
          <div class="progress-line">
            <progress value={done} max={total} aria-label={words.run.progress(done, total)} />
            <span class="progress-words">
              {words.run.progress(done, total)}
              {!held && run.state === "running" && (run.left_ms ?? 0) > 0 ? `, ${words.run.left(duration(run.left_ms ?? 0))}` : ""}
            </span>
          </div>
          <div class="now" aria-live={held ? "off" : "polite"}>
            <p>
              <strong>{words.run.now}:</strong> {run.current || "-"}
            </p>
            <p class="now-message">{held ? words.run.heldFor(duration(Math.max(0, now - run.held_since_ms))) : run.message && <Said text={run.message} />}</p>
          </div>
          {run.conductor === "" && <p class="notice">{words.run.noConductor}</p>}
        </>
      )}
      {ended && run.message && (
        <p>
          <Said text={run.message} />
        </p>
      )}
      <h3>{words.run.timeline}</h3>
      <Timeline run={run} steps={steps} now={now} names={nodes} below={(place, axis) => <Plots series={series} members={members} place={place} recording={!ended} axis={axis} />} />
      {!ended && series.problem && <p class="meta">{series.problem}</p>}
      <details class="steps">
        <summary>{words.run.allSteps(steps.length)}</summary>
        <StepsTable steps={steps} label={words.run.allSteps(steps.length)} />
      </details>
    </section>
  );
}
