// Upgrade history: every run, and one run with all that is known of it.
import { useState } from "preact/hooks";
import { shapeRun, shapeRuns } from "./api";
import type { Check, Run } from "./api";
import { download, useAsked } from "./asked";
import { shapeEvents } from "./audit_page";
import { CheckLine } from "./check_line";
import { EventTable } from "./event_table";
import type { Event } from "./event_table";
import { usePolled } from "./live";
import type { PageProps } from "./main";
import { Badge, Part, Said, Trouble, Waiting, clock, duration } from "./parts";
import type { Tone } from "./parts";
import { StepsTable } from "./run_panel";
import { Timeline } from "./timeline";
import { words } from "./words";
import { history as w } from "./words_history";
import { nav } from "./words_nav";

interface PastRun extends Run {
  downtime_ms?: number;
  nodes?: { name: string; start_to_active_ms: number; drain_ms: number }[];
  checks?: Check[];
}
const tones: Record<string, Tone> = { running: "busy", paused: "bad", rolling_back: "waits", done: "good", cancelled: "plain", failed: "bad" };
const shown = 200;
const own = "/admin/upgrade/history";

const wayOf = (run: Run) => words.run.way(run.from, [...run.hops.slice(0, -1), run.to].join(" → "));
function Outcome({ run }: { run: Run }) {
  const held = run.held_since_ms > 0;
  return <Badge tone={held ? "waits" : (tones[run.state] ?? "plain")}>{words.run.states[held ? "held" : run.state] ?? run.state}</Badge>;
}
const tookOf = (run: Run) => (run.ended_at_ms ? duration(run.ended_at_ms - run.started_at_ms) : w.notOver);
const downtimeOf = (run: PastRun) => (run.downtime_ms ? duration(run.downtime_ms) : w.noDowntime);

function Link({ to, go, children }: { to: string; go: (to: string) => void; children: preact.ComponentChildren }) {
  return (
    <a
      href={to}
      onClick={(event) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
        event.preventDefault();
        go(to);
      }}
    >
      {children}
    </a>
  );
}

function Runs({ go }: { go: (to: string) => void }) {
  const runs = usePolled<{ runs: Run[] }>(`/rest/afloat/1/runs?limit=${shown}`, 10_000, shapeRuns);
  return (
    <>
      <h1>{nav.history}</h1>
      <p class="lead">{w.lead}</p>
      <Part id="runs" title={w.runs} from={runs} lines={10}>
        {(value) =>
          value.runs.length === 0 ? (
            <p class="empty">{w.none}</p>
          ) : (
            <>
              <table class="plain nodes">
                <thead>
                  <tr>
                    <th scope="col">{w.run}</th>
                    <th scope="col">{w.what}</th>
                    <th scope="col">{w.outcome}</th>
                    <th scope="col">{w.begun}</th>
                    <th scope="col">{w.took}</th>
                    <th scope="col">{w.downtime}</th>
                    <th scope="col">{w.by}</th>
                    <th scope="col">{w.reason}</th>
                  </tr>
                </thead>
                <tbody>
                  {(value.runs as PastRun[]).map((run) => (
                    <tr key={run.id}>
                      <th scope="row" class="moment">
                        <Link to={`${own}/${run.id}`} go={go}>
                          {w.run} {run.id}
                        </Link>
                      </th>
                      <td data-label={w.what} class="moment">
                        <span>{wayOf(run)}</span>
                      </td>
                      <td data-label={w.outcome}>
                        <Outcome run={run} />
                      </td>
                      <td data-label={w.begun}>
                        <span>{clock(run.started_at_ms)}</span>
                      </td>
                      <td data-label={w.took}>
                        <span>{tookOf(run)}</span>
                      </td>
                      <td data-label={w.downtime}>
                        <span>{downtimeOf(run)}</span>
                      </td>
                      <td data-label={w.by}>
                        <span>{run.actor}</span>
                      </td>
                      <td data-label={w.reason} class="long-text">
                        <span>{run.reason || "-"}</span>
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
              {value.runs.length === shown && <p class="meta">{w.limit(shown)}</p>}
            </>
          )
        }
      </Part>
      <p class="meta">
        <Said text={w.listOnCommandLine} />
      </p>
    </>
  );
}

function EventsOf({ run }: { run: Run }) {
  const until = run.ended_at_ms ? `&until=${run.ended_at_ms + 1000}` : "";
  const events = useAsked<{ results: Event[]; next: number }>(`/rest/afloat/1/events?limit=200&since=${run.started_at_ms - 1000}${until}`, shapeEvents);
  const rows = [...(events.value?.results ?? [])].reverse();
  return (
    <details class="fold">
      <summary>
        <span class="fold-title">{w.events(rows.length)}</span>
      </summary>
      <Trouble error={events.error} />
      {events.value && (rows.length > 0 ? <EventTable events={rows} label={nav.audit} /> : <p class="empty">{w.noEvents}</p>)}
    </details>
  );
}

function OneRun({ id, go }: { id: string; go: (to: string) => void }) {
  const answer = useAsked<PastRun>(`/rest/afloat/1/runs/${encodeURIComponent(id)}`, shapeRun as (raw: PastRun) => PastRun);
  const [fault, setFault] = useState("");
  const run = answer.value;
  const steps = run?.steps ?? [];
  const nodes = (run?.nodes ?? []).filter((node) => node.drain_ms > 0 || node.start_to_active_ms > 0);
  const save = async () => {
    setFault("");
    try {
      await download(`/rest/afloat/1/runs/${encodeURIComponent(id)}`, `afloat-upgrade-run-${id}.json`);
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    }
  };
  return (
    <>
      <p class="crumbs">
        <Link to={own} go={go}>
          {w.back}
        </Link>
      </p>
      <h1>{w.title(Number(id))}</h1>
      <Trouble error={answer.error} />
      {!run && !answer.error && (
        <div class="panel-box">
          <Waiting lines={14} />
        </div>
      )}
      {run && (
        <>
          <section class="panel-box" aria-labelledby="run-heading">
            <div class="box-head">
              <h2 id="run-heading" class="run-way">
                {wayOf(run)}
              </h2>
              <Outcome run={run} />
            </div>
            {run.message && (
              <p>
                <Said text={run.message} />
              </p>
            )}
            <dl class="node-facts">
              {[
                [w.begun, clock(run.started_at_ms)],
                [w.ended, run.ended_at_ms ? clock(run.ended_at_ms) : w.notOver],
                [w.took, tookOf(run)],
                [w.downtime, downtimeOf(run)],
                [w.by, run.actor],
                [w.reason, run.reason || "-"],
              ].map(([name, value]) => (
                <div key={name}>
                  <dt>{name}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
            <h3>{w.timeline}</h3>
            <Timeline run={run} steps={steps} now={run.ended_at_ms || run.now_ms || Date.now()} names={[...new Set(steps.map((step) => step.node).filter(Boolean))]} />
            {nodes.length > 0 && (
              <table class="plain nodes">
                <caption class="table-title">{w.nodeFigures}</caption>
                <thead>
                  <tr>
                    <th scope="col">{w.node}</th>
                    <th scope="col" class="number">
                      {w.drain}
                    </th>
                    <th scope="col" class="number">
                      {w.start}
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {nodes.map((node) => (
                    <tr key={node.name}>
                      <th scope="row">{node.name}</th>
                      <td data-label={w.drain} class="number">
                        {node.drain_ms ? duration(node.drain_ms) : "-"}
                      </td>
                      <td data-label={w.start} class="number">
                        {node.start_to_active_ms ? duration(node.start_to_active_ms) : "-"}
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )}
            <details class="fold">
              <summary>
                <span class="fold-title">{w.steps(steps.length)}</span>
              </summary>
              <StepsTable steps={steps} label={w.steps(steps.length)} />
            </details>
            {(run.checks ?? []).length > 0 && (
              <details class="fold">
                <summary>
                  <span class="fold-title">{w.checks((run.checks ?? []).length)}</span>
                </summary>
                <ul class="checks">
                  {(run.checks ?? []).map((check) => (
                    <CheckLine check={check} key={check.id} />
                  ))}
                </ul>
              </details>
            )}
            <EventsOf run={run} />
          </section>
          <div class="actions below-box">
            <button type="button" class="button quiet" onClick={() => void save()}>
              {w.download}
            </button>
          </div>
          {fault && (
            <p class="notice notice-bad" role="alert">
              <Said text={fault} />
            </p>
          )}
          <p class="meta">
            <Said text={w.onCommandLine(run.id)} />
          </p>
        </>
      )}
    </>
  );
}

export function HistoryPage({ go, path }: PageProps) {
  const id = path.slice(own.length + 1);
  return id ? <OneRun id={id} go={go} key={id} /> : <Runs go={go} />;
}
