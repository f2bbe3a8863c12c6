// Rolling upgrades: where the cluster is, what that means, and what can be done about it now.
import { useEffect, useState } from "preact/hooks";
import { post, session, shapeCluster, shapeRun, shapeRuns } from "./api";
import type { Cluster, Run, UpgradeTask } from "./api";
import { ByHandPanel } from "./by_hand_panel";
import { useNow, usePolled, useRunEvents, useSeries } from "./live";
import { Ask } from "./dialog";
import type { Question } from "./dialog";
import { Badge, Said, Trouble, Waiting } from "./parts";
import type { Tone } from "./parts";
import { NodesPanel } from "./nodes_panel";
import { LatestPlots } from "./plots_panel";
import { RunPanel, hasEnded, isHeld, isOffline } from "./run_panel";
import { words } from "./words";
import type { Phase } from "./words";
import { offlineWords } from "./words_offline";

const trail: Phase[] = ["STABLE", "READY_TO_UPGRADE", "MIXED", "READY_TO_RUN_UPGRADE_TASKS", "RUNNING_UPGRADE_TASKS"];
const phaseTones: Record<Phase, Tone> = {
  STABLE: "good",
  READY_TO_UPGRADE: "busy",
  MIXED: "busy",
  READY_TO_RUN_UPGRADE_TASKS: "waits",
  RUNNING_UPGRADE_TASKS: "busy",
  UPGRADE_TASKS_FAILED: "bad",
};

/** null: the site is closed, which is no phase. */
function Trail({ phase }: { phase: Phase | null }) {
  const at = phase === null ? -1 : trail.indexOf(phase === "UPGRADE_TASKS_FAILED" ? "RUNNING_UPGRADE_TASKS" : phase);
  return (
    <ol class="trail" aria-label={words.phaseTrail}>
      {trail.map((each, index) => {
        const here = index === at ? phase : null;
        return (
          <li key={each} class={here ? `trail-here tone-${phaseTones[here]}` : index < at ? "trail-past" : ""} aria-current={here ? "step" : undefined}>
            <span>{words.phases[here ?? each].label}</span>
          </li>
        );
      })}
    </ol>
  );
}

interface Action {
  key: string;
  button: string;
  hint?: string;
  kind: "main" | "quiet" | "danger";
  /** Asked first; without it the button acts at once. */
  question?: Omit<Question, "act">;
  path: string;
}

/** What may be done now, as the site would accept it. `hop`: the one that the run is at, of a chain, from 1. */
function actionsOf(cluster: Cluster, run: Run | null, hop: number): { actions: Action[]; hint: string } {
  const a = words.actions;
  const finalize = (path: string, to: string): Action => ({
    key: "finalize",
    button: a.finalize.button,
    kind: "main",
    path,
    question: { title: a.finalize.title, effect: a.finalize.effect(to), confirm: a.finalize.confirm, typed: cluster.site, danger: true },
  });
  const retry: Action = { key: "retry", ...a.retry, kind: "main", path: "/rest/zdu/retryUpgrade" };
  if (run && !hasEnded(run)) {
    const at = `/rest/afloat/1/runs/${run.id}`;
    const resume: Action = { key: "resume", ...a.resume, kind: "main", path: `${at}/resume` };
    const pauses: Action = { key: "pause", ...a.pause, kind: "quiet", path: `${at}/pause` };
    const cancel: Action = {
      key: "cancelRun",
      button: a.cancelRun.button,
      kind: "danger",
      path: `${at}/cancel`,
      question: { title: a.cancelRun.title, effect: isOffline(run) ? offlineWords.cancelEffect(run.from) : a.cancelRun.effect(run.hops[hop - 2] ?? run.from), confirm: a.cancelRun.confirm, danger: true },
    };
    if (cluster.phase === "UPGRADE_TASKS_FAILED") return { actions: run.state === "paused" ? [retry, { ...resume, kind: "quiet" }] : [retry], hint: a.retry.hint };
    if (cluster.phase === "RUNNING_UPGRADE_TASKS") return { actions: run.state === "paused" ? [resume] : [], hint: "" };
    if (run.state === "rolling_back" || run.cancel_requested) return { actions: [], hint: "" };
    if (isHeld(run)) return { actions: [finalize(`${at}/resume`, run.hops[hop - 1] ?? run.to), cancel], hint: "" };
    if (run.state === "paused") return { actions: [resume, cancel], hint: a.resume.hint };
    if (run.pause_requested) return { actions: [cancel], hint: a.pausing };
    return { actions: [pauses, cancel], hint: isOffline(run) ? offlineWords.pauseHint : a.pause.hint };
  }
  const target = cluster.members.map((member) => member.version).find((version) => version !== cluster.clusterVersion) ?? "";
  const cancelMode: Action = {
    key: "cancelMode",
    button: a.cancelMode.button,
    kind: "quiet",
    path: "/rest/zdu/cancel",
    question: { title: a.cancelMode.title, effect: a.cancelMode.effect(), confirm: a.cancelMode.confirm },
  };
  switch (cluster.phase) {
    case "STABLE":
      return {
        actions: [
          {
            key: "startMode",
            button: a.startMode.button,
            kind: "quiet",
            path: "/rest/zdu/start",
            question: { title: a.startMode.title, effect: a.startMode.effect(), confirm: a.startMode.confirm },
          },
        ],
        hint: "",
      };
    case "READY_TO_UPGRADE":
      return { actions: [cancelMode], hint: "" };
    case "MIXED":
      return { actions: [], hint: a.cancelModeNotNow };
    case "READY_TO_RUN_UPGRADE_TASKS":
      return { actions: [finalize("/rest/zdu/approve", target)], hint: a.cancelModeNotNow };
    case "UPGRADE_TASKS_FAILED":
      return { actions: [retry], hint: a.retry.hint };
    default:
      return { actions: [], hint: "" };
  }
}

function nextOf(cluster: Cluster, run: Run | null): string {
  const phase = words.phases[cluster.phase] ?? words.unknownPhase;
  if (!run || hasEnded(run) || cluster.phase === "RUNNING_UPGRADE_TASKS" || cluster.phase === "UPGRADE_TASKS_FAILED") return phase.next;
  if (isHeld(run)) return words.byRun.held;
  if (isOffline(run) && run.state === "running") return offlineWords.next;
  return words.byRun[run.state as keyof typeof words.byRun] ?? phase.next;
}

/** `closed`: what is known is what was known before the site was closed. */
function StatusPanel({ cluster, run, hop, closed, go, changed }: { cluster: Cluster; run: Run | null; hop: number; closed: boolean; go: (path: string) => void; changed: () => void }) {
  const [question, setQuestion] = useState<Question | null>(null);
  const [said, setSaid] = useState<{ text: string; bad: boolean; at: string } | null>(null);
  const phase = words.phases[cluster.phase] ?? words.unknownPhase;
  const { actions, hint } = closed ? { actions: [], hint: "" } : actionsOf(cluster, run, hop);
  // It says what a person is to do next; with a run at work, that is the run's affair.
  const detailed = !run || hasEnded(run) || cluster.phase === "UPGRADE_TASKS_FAILED" || cluster.phase === "RUNNING_UPGRADE_TASKS";
  // What was said belongs to the state in which it was asked.
  const at = `${cluster.phase} ${cluster.upgradeMode} ${run?.id} ${run?.state} ${run ? isHeld(run) : ""}`;
  useEffect(() => {
    if (said && said.at !== at) setSaid(null);
  }, [said, at]);
  const send = async (action: Action) => {
    await post(action.path);
    setSaid({ text: words.actions.done[action.key] ?? "", bad: false, at });
    changed();
  };
  const press = async (action: Action) => {
    if (action.question) {
      setQuestion({ ...action.question, act: () => send(action) });
      return;
    }
    try {
      await send(action);
    } catch (error) {
      setSaid({ text: error instanceof Error ? error.message : String(error), bad: true, at });
      changed();
    }
  };
  return (
    <section class={`panel-box status-box tone-${closed ? "waits" : (phaseTones[cluster.phase] ?? "plain")}`} aria-labelledby="status-heading">
      <div class="status-top">
        <div>
          <h2 id="status-heading" class="status-label">
            {words.clusterStatus}
          </h2>
          <p class="status-phase" data-phase={cluster.phase} aria-live="polite">
            {closed ? offlineWords.closedLabel : phase.label}
          </p>
        </div>
        <dl class="facts">
          <div>
            <dt>{words.clusterVersion}</dt>
            <dd>{cluster.clusterVersion ?? "-"}</dd>
          </div>
          <div>
            <dt>{words.upgradeMode}</dt>
            <dd>{cluster.upgradeMode === "on" ? words.modeOn : words.modeOff}</dd>
          </div>
        </dl>
      </div>
      <Trail phase={closed ? null : cluster.phase} />
      <dl class="meaning">
        <div>
          <dt>{words.whatItMeans}</dt>
          <dd aria-live="polite">{closed ? offlineWords.closedNow : phase.means}</dd>
        </div>
        <div>
          <dt>{words.whatNext}</dt>
          <dd>{closed ? <Said text={offlineWords.closedNext} /> : nextOf(cluster, run)}</dd>
        </div>
        {detailed && (
          <div>
            <dt>{words.siteSays}</dt>
            <dd>
              <Said text={cluster.message} />
            </dd>
          </div>
        )}
      </dl>
      <div class="actions status-actions">
        {cluster.phase === "STABLE" && (!run || hasEnded(run)) && (
          <a
            class="button"
            href="/admin/upgrade/plan"
            onClick={(event) => {
              event.preventDefault();
              go("/admin/upgrade/plan");
            }}
          >
            {words.actions.plan}
          </a>
        )}
        {actions.map((action) => (
          <button
            key={action.key}
            type="button"
            class={action.kind === "main" ? "" : action.kind === "danger" ? "button quiet bad" : "button quiet"}
            onClick={() => void press(action)}
          >
            {action.button}
          </button>
        ))}
      </div>
      {hint && <p class="meta status-hint">{hint}</p>}
      <div aria-live="polite">{said && <p class={`notice ${said.bad ? "notice-bad" : "notice-good"}`}>{said.bad ? <><strong>{words.connection.refused}.</strong> <Said text={said.text} /></> : said.text}</p>}</div>
      {question && <Ask question={question} onClose={() => setQuestion(null)} />}
    </section>
  );
}


function TasksPanel({ tasks }: { tasks: UpgradeTask[] }) {
  const open = tasks.filter((task) => task.state !== "done");
  if (open.length === 0) return null;
  return (
    <section class="panel-box" aria-labelledby="tasks-heading">
      <h2 id="tasks-heading">{words.tasks.heading}</h2>
      <ul class="list">
        {open.map((task) => (
          <li key={task.id}>
            <strong>{task.id}</strong> <Badge tone={task.state === "failed" ? "bad" : task.state === "running" ? "busy" : "plain"}>{words.tasks.states[task.state] ?? task.state}</Badge>{" "}
            <span class="meta">
              {words.tasks.kinds[task.kind] ?? task.kind}
              {task.total > 0 && `, ${words.tasks.progress(task.done, task.total)}`}
              {task.attempts > 1 && `, ${words.tasks.attempts(task.attempts)}`}
            </span>
            {task.error && (
              <p class="notice notice-bad">
                <Said text={task.error} />
              </p>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

export function UpgradePage({ go }: { go: (path: string) => void }) {
  const cluster = usePolled<Cluster>("/rest/afloat/1/cluster", 1500, shapeCluster);
  const runs = usePolled<{ runs: Run[] }>("/rest/afloat/1/runs?limit=1", 4000, shapeRuns);
  const latest = runs.value?.runs[0] ?? null;
  const id = latest?.id ?? null;
  const whole = usePolled<Run>(latest && !hasEnded(latest) ? `/rest/afloat/1/runs/${id}` : null, 1500, shapeRun);
  const changed = () => {
    cluster.refresh();
    runs.refresh();
    whole.refresh();
  };
  const events = useRunEvents(id, changed);
  // The stream is first with what has changed; progress is only in the answer about the run as a whole.
  const told = events.run ?? latest;
  const hold = events.steps.findLast((step) => step.name === "hold_before_finalize" && !step.ended_at_ms);
  const held_since_ms = told?.held_since_ms || (told?.state === "paused" ? (hold?.started_at_ms ?? 0) : 0);
  const run: Run | null = told && { ...told, held_since_ms, steps_total: whole.value?.steps_total, steps_done: whole.value?.steps_done, left_ms: whole.value?.left_ms };
  const active = run !== null && !hasEnded(run);
  const now = useNow(active);
  const skew = whole.value?.now_ms ? whole.value.now_ms - Date.now() : 0;
  useEffect(() => {
    if (events.steps.length > 0) cluster.refresh();
  }, [events.steps.length, events.run?.state]);

  const data = cluster.value;
  const series = useSeries(active || (data !== null && data.upgradeMode === "on"));
  const members = data?.members ?? [];
  // With downtime nobody is answered for a while: nothing is wrong then.
  const closed = active && isOffline(run) && cluster.error !== null && (cluster.error.status === 0 || cluster.error.status >= 500);
  const byHand = !active && data?.upgradeMode === "on";
  return (
    <>
      <h1>{words.pages.upgrade}</h1>
      {!closed && <Trouble error={cluster.error} />}
      {!active && data?.phase === "STABLE" && data.clusterVersion !== session.version && (
        <p class="notice reload">
          <span>{words.reload.offer(session.version, data.clusterVersion ?? "")}</span>
          <button type="button" class="button quiet" onClick={() => location.reload()}>
            {words.reload.button}
          </button>
        </p>
      )}
      {data ? <StatusPanel cluster={data} run={run} hop={events.steps.at(-1)?.hop ?? 1} closed={closed} go={go} changed={changed} /> : <div class="panel-box status-box"><Waiting lines={9} /></div>}
      {active && run && <RunPanel run={run} steps={events.steps} live={events.connected} now={Math.max(now + Math.min(skew, 2000), run.started_at_ms)} members={members} series={series} />}
      {data && byHand && data.phase !== "RUNNING_UPGRADE_TASKS" && data.phase !== "UPGRADE_TASKS_FAILED" && <ByHandPanel cluster={data} />}
      {byHand && <LatestPlots series={series} members={members} />}
      {data && <TasksPanel tasks={data.tasks} />}
      {/* Below a run, so not before it is known whether there is one; and where the site is closed, no longer true. */}
      {closed || !(runs.value || runs.error) ? null : data ? <NodesPanel cluster={data} run={run} changed={changed} /> : <div class="panel-box"><Waiting lines={5} /></div>}
      {!active && run && <RunPanel run={run} steps={events.steps} live={events.connected} now={run.ended_at_ms} members={members} series={series} />}
    </>
  );
}
