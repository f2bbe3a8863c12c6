// What a run will do, step by step, with the times that are expected.
import type { Plan, PlannedStep } from "./api";
import { Badge, duration } from "./parts";
import { words } from "./words";
import { offlineWords as o } from "./words_offline";

const w = words.plan;

interface Stage {
  title: string;
  steps: PlannedStep[];
}

/** With downtime: what comes before the site is closed, while it is, and as it opens again. */
function closedStages(steps: PlannedStep[]): Stage[] {
  const named = (names: string[], step: PlannedStep) => names.includes(step.name);
  const closes = steps.findIndex((step) => named(["drain", "maint", "stop"], step));
  const opens = steps.findIndex((step) => named(["balance", "verify", "report"], step));
  const from = closes < 0 ? steps.length : closes;
  const to = opens < 0 ? steps.length : opens;
  return [
    { title: o.before, steps: steps.slice(0, from) },
    { title: o.closed, steps: steps.slice(from, to) },
    { title: o.after, steps: steps.slice(to) },
  ].filter((stage) => stage.steps.length > 0);
}

/** The steps of a plan in the pieces that a person thinks in: before, each node, after; of each hop. */
function stagesOf(plan: Plan): Stage[] {
  const stages: (Stage & { node: string; hop: number })[] = [];
  for (const step of plan.steps) {
    const last = stages.at(-1);
    if (last && last.node === step.node && last.hop === step.hop) last.steps.push(step);
    else stages.push({ title: "", node: step.node, hop: step.hop, steps: [step] });
  }
  for (const stage of stages) {
    const nodes = [...new Set(stages.filter((each) => each.hop === stage.hop && each.node).map((each) => each.node))];
    const first = stages.findIndex((each) => each.hop === stage.hop && each.node !== "");
    stage.title = stage.node ? w.node(stage.node, nodes.indexOf(stage.node) + 1, nodes.length) : stages.indexOf(stage) < first ? w.before : w.after;
    if (plan.hops.length > 1) stage.title = w.hopStage(stage.title, plan.hops[stage.hop - 1] ?? plan.to);
  }
  return stages;
}

const sum = (steps: PlannedStep[]) => steps.reduce((total, step) => total + step.expected_ms, 0);

/** With a hold, what comes behind it does not count: until then one can go back. */
function leadOf(plan: Plan, steps: PlannedStep[], hold: boolean): string {
  const all = duration(sum(steps));
  if (plan.offline) return o.stepsLead(all, duration(plan.downtime_ms), steps.some((step) => step.name === "backup"));
  if (!hold) return w.stepsLeadNoHold(all);
  const last = ["finalize", "await_stable", "verify", "report", "hold_before_finalize"];
  return w.stepsLead(duration(sum(steps.filter((step) => step.hop < plan.hops.length || !last.includes(step.name)))));
}

export function Steps({ plan, hold }: { plan: Plan; hold: boolean }) {
  const steps = hold ? plan.steps : plan.steps.filter((step) => step.name !== "hold_before_finalize");
  const stages = plan.offline ? closedStages(steps) : stagesOf({ ...plan, steps });
  return (
    <>
      <p>{leadOf(plan, steps, hold)}</p>
      {stages.map((stage, at) => (
        <details class="fold" key={at}>
          <summary>
            <span class="fold-title">{stage.title}</span>
            <span class="fold-bar" aria-hidden="true">
              <span style={{ width: `${Math.max(2, (100 * sum(stage.steps)) / Math.max(1, ...stages.map((each) => sum(each.steps))))}%` }} />
            </span>
            <span class="fold-figure">{duration(sum(stage.steps))}</span>
          </summary>
          <ol class="planned">
            {stage.steps.map((step, index) => (
              <li key={index}>
                <span>
                  {!plan.offline && stage.steps[0]?.node ? step.title.replace(`${step.node}: `, "") : step.title}
                  {step.point_of_no_return && <Badge tone="bad">{w.noReturn}</Badge>}
                </span>
                <span class="meta">{duration(step.expected_ms)}</span>
              </li>
            ))}
          </ol>
        </details>
      ))}
    </>
  );
}
