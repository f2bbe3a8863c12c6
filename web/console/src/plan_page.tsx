// Plan your upgrade: from the choice of a version to the start of a run, with everything that one wants to know before.
import { useEffect, useState } from "preact/hooks";
import { post, shapeCluster, shapePlan } from "./api";
import type { Check, Cluster, Notes, Offered, Path, Plan, PlannedStep, Run } from "./api";
import { CheckLine, checkTones, order } from "./check_line";
import { usePolled } from "./live";
import { NotesText } from "./notes_text";
import { Ask, Badge, Part, Said, Trouble, clock, duration } from "./parts";
import { WishesFields, faultsOf, optionsOf, usualWishes } from "./run_wishes";
import { words } from "./words";

const w = words.plan;

function Versions({ offered, from, chosen, choose }: { offered: Offered; from: string; chosen: string; choose: (version: string) => void }) {
  if (offered.versions.length === 0)
    return (
      <div class="notice">
        <p>{w.none(from)}</p>
        <p>
          <Said text={w.noneHow} />
        </p>
      </div>
    );
  return (
    <fieldset class="choices">
      <legend class="hidden">{w.choose}</legend>
      {offered.versions.map((version) => (
        <label class={`choice ${version.shortName === chosen ? "choice-on" : ""}`} key={version.shortName}>
          <input type="radio" name="version" value={version.shortName} checked={version.shortName === chosen} onChange={() => choose(version.shortName)} />
          <span class="choice-name">{version.shortName}</span>
          <Badge tone={version.isZduAvailable ? "good" : "waits"}>{version.isZduAvailable ? w.rolls : w.downtime}</Badge>
          <span class="meta">{version.upgradePath[0]?.title ?? ""}</span>
        </label>
      ))}
    </fieldset>
  );
}

function Way({ path }: { path: Path }) {
  return (
    <>
      {(path.hops.length !== 1 || path.verdict !== "rolling") && (
        <p>
          <Said text={path.message} />
        </p>
      )}
      {path.hops.length > 0 && (
        <ol class="way">
          {path.hops.map((hop) => (
            <li key={hop.to}>
              <span class="way-hop">{w.hop(hop.from, hop.to)}</span> <Badge tone={hop.rolls ? "good" : "waits"}>{hop.rolls ? w.rolls : w.downtime}</Badge>
              <span class="meta">
                <Said text={hop.why} />
              </span>
            </li>
          ))}
        </ol>
      )}
      {path.notes.map((note) => (
        <p class="notice" key={note}>
          <Said text={note} />
        </p>
      ))}
    </>
  );
}

function ReleaseNotes({ notes, acknowledge }: { notes: Notes; acknowledge: () => Promise<void> }) {
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState("");
  const press = async () => {
    setBusy(true);
    setFault("");
    try {
      await acknowledge();
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
    }
    setBusy(false);
  };
  return (
    <>
      <p class="meta">{w.notesLead}</p>
      {notes.notes.map((each) => (
        <details class="fold" key={each.version} open={!each.acknowledged}>
          <summary>
            <span class="fold-title">{each.version}</span>
            <Badge tone={each.acknowledged ? "good" : "waits"}>{each.acknowledged ? w.notesRead(each.acknowledged.by, clock(Date.parse(each.acknowledged.at))) : w.notesUnread}</Badge>
          </summary>
          <NotesText text={each.text} level={4} />
        </details>
      ))}
      {fault && (
        <p class="notice notice-bad" role="alert">
          <Said text={fault} />
        </p>
      )}
      <div class="actions" aria-live="polite">
        {notes.acknowledged ? (
          <p class="meta">{w.notesAllRead}</p>
        ) : (
          <button type="button" disabled={busy} onClick={() => void press()}>
            {w.notesAcknowledge(notes.notes.length)}
          </button>
        )}
      </div>
    </>
  );
}

function Checks({ checks }: { checks: Check[] }) {
  const of = (result: Check["result"]) => checks.filter((check) => check.result === result);
  const passed = of("pass");
  return (
    <>
      <p class="check-counts">
        {order
          .filter((result) => of(result).length > 0)
          .map((result) => (
            <Badge tone={checkTones[result]} key={result}>
              {w.counts(of(result).length, result)}
            </Badge>
          ))}
      </p>
      <ul class="checks">
        {order.slice(0, 3).flatMap((result) => of(result).map((check) => <CheckLine check={check} here={w.here[check.id]} key={check.id} />))}
      </ul>
      {passed.length > 0 && (
        <details class="fold">
          <summary>
            <span class="fold-title">{w.passedOnes(passed.length)}</span>
          </summary>
          <ul class="checks">
            {passed.map((check) => (
              <CheckLine check={check} key={check.id} />
            ))}
          </ul>
        </details>
      )}
    </>
  );
}

interface Stage {
  title: string;
  steps: PlannedStep[];
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

function Steps({ plan, hold }: { plan: Plan; hold: boolean }) {
  const steps = hold ? plan.steps : plan.steps.filter((step) => step.name !== "hold_before_finalize");
  const stages = stagesOf({ ...plan, steps });
  return (
    <>
      <p>{hold ? w.stepsLead(duration(sum(steps.filter((step) => !["finalize", "await_stable", "verify", "report", "hold_before_finalize"].includes(step.name) || step.hop < plan.hops.length)))) : w.stepsLeadNoHold(duration(sum(steps)))}</p>
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
                  {stage.steps[0]?.node ? step.title.replace(`${step.node}: `, "") : step.title}
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

function Start({ plan, notes, hold, setHold, started }: { plan: Plan; notes: Notes | null; hold: boolean; setHold: (hold: boolean) => void; started: () => void }) {
  const [reason, setReason] = useState("");
  const [wishes, setWishes] = useState(usualWishes);
  const faulty = Object.keys(faultsOf(wishes)).length > 0;
  const [asking, setAsking] = useState(false);
  const unread = notes !== null && !notes.acknowledged;
  const failing = plan.checks.filter((check) => check.result === "fail" && check.id !== "notes_acknowledged");
  const inTheWay = [
    ...(plan.verdict === "downtime" ? [w.blockedDowntime] : []),
    ...(unread ? [w.blockedNotes] : []),
    ...failing.filter((check) => plan.verdict !== "downtime" || check.id !== "hop_allowed").map((check) => `${check.title}: ${check.found}`),
  ];
  return (
    <>
      <div class="field">
        <label for="reason">{w.reason}</label>
        <input id="reason" maxLength={500} value={reason} onInput={(event) => setReason(event.currentTarget.value)} aria-describedby="reason-hint" />
        <span class="meta" id="reason-hint">{w.reasonHint}</span>
      </div>
      <label class="tick">
        <input type="checkbox" checked={hold} onChange={(event) => setHold(event.currentTarget.checked)} />
        <span>
          {w.hold}
          <span class="meta">{w.holdHint}</span>
        </span>
      </label>
      <WishesFields wishes={wishes} change={setWishes} hops={plan.hops.length} />
      {inTheWay.length > 0 && (
        <div class="notice" id="in-the-way">
          <strong>{w.blocked}</strong>
          <ul>
            {inTheWay.map((each) => (
              <li key={each}>
                <Said text={each} />
              </li>
            ))}
          </ul>
        </div>
      )}
      <div class="actions">
        <button type="button" class="big" disabled={inTheWay.length > 0 || faulty} aria-describedby={inTheWay.length > 0 ? "in-the-way" : undefined} onClick={() => setAsking(true)}>
          {w.button(plan.to)}
        </button>
      </div>
      {asking && (
        <Ask
          question={{
            title: w.confirmTitle(plan.to),
            effect: w.effect(hold, wishes),
            confirm: w.confirm,
            act: async () => {
              await post<Run>("/rest/afloat/1/runs", { to: plan.to, reason: reason.trim(), options: { hold_before_finalize: hold, ...optionsOf(wishes) } });
              started();
            },
          }}
          onClose={() => setAsking(false)}
        />
      )}
    </>
  );
}

export function PlanPage({ go }: { go: (path: string) => void }) {
  const cluster = usePolled<Cluster>("/rest/afloat/1/cluster", 5000, shapeCluster);
  const offered = usePolled<Offered>("/rest/troubleshooting/1.0/pre-upgrade/info", 30_000);
  const [chosen, setChosen] = useState("");
  const [hold, setHold] = useState(true);
  // The furthest that needs no downtime is what most come for.
  useEffect(() => {
    const versions = offered.value?.versions;
    if (!versions || versions.some((version) => version.shortName === chosen)) return;
    setChosen((versions.findLast((version) => version.isZduAvailable) ?? versions.at(-1))?.shortName ?? "");
  }, [offered.value]);
  const to = chosen ? encodeURIComponent(chosen) : "";
  const path = usePolled<Path>(to ? `/rest/afloat/1/runs/path?to=${to}` : null, 30_000);
  const notes = usePolled<Notes>(to ? `/rest/afloat/1/runs/notes?to=${to}` : null, 15_000);
  const plan = usePolled<Plan>(to ? `/rest/afloat/1/runs/plan?to=${to}` : null, 10_000, shapePlan);
  const underWay = cluster.value !== null && (cluster.value.phase !== "STABLE" || cluster.value.upgradeMode === "on");
  const toRuns = (
    <a
      class="button"
      href="/admin/upgrade"
      onClick={(event) => {
        event.preventDefault();
        go("/admin/upgrade");
      }}
    >
      {w.goThere}
    </a>
  );
  return (
    <>
      <h1>{words.pages.plan}</h1>
      <p class="lead">{w.lead}</p>
      <Trouble error={cluster.error} />
      {underWay ? (
        <div class="panel-box">
          <p>{w.underWay}</p>
          <div class="actions">{toRuns}</div>
        </div>
      ) : (
        <>
          <Part id="choose" title={w.choose} from={offered} lines={2} rem={3.2}>
            {(value) => <Versions offered={value} from={cluster.value?.clusterVersion ?? ""} chosen={chosen} choose={setChosen} />}
          </Part>
          {(chosen || !offered.value) && (
            <>
              <Part id="way" title={w.way} from={path} lines={2} rem={3.45}>
                {(value) => <Way path={value} />}
              </Part>
              <Part id="notes" title={w.notes} from={notes} lines={6}>
                {(value) => (
                  <ReleaseNotes
                    notes={value}
                    acknowledge={async () => {
                      await post<Notes>("/rest/afloat/1/runs/notes/acknowledge", { to: chosen });
                      notes.refresh();
                      plan.refresh();
                    }}
                  />
                )}
              </Part>
              <Part id="checks" title={w.checks} from={plan} lines={8}>
                {(value) => (
                  <>
                    <Checks checks={value.checks} />
                    <div class="actions">
                      <button type="button" class="button quiet" onClick={plan.refresh}>
                        {w.checkAgain}
                      </button>
                    </div>
                  </>
                )}
              </Part>
              <Part id="steps" title={w.steps} from={plan} lines={6}>
                {(value) => <Steps plan={value} hold={hold} />}
              </Part>
              <Part id="start" title={w.start} from={plan} lines={4}>
                {(value) => <Start plan={value} notes={notes.value} hold={hold} setHold={setHold} started={() => go("/admin/upgrade")} />}
              </Part>
            </>
          )}
        </>
      )}
    </>
  );
}
