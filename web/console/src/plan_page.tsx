// Plan your upgrade: from the choice of a version to the start of a run, with everything that one wants to know before.
import { useEffect, useState } from "preact/hooks";
import { post, shapeCluster, shapePlan } from "./api";
import type { Check, Cluster, Notes, Offered, Path, Plan } from "./api";
import { CheckLine, checkTones, order } from "./check_line";
import { usePolled } from "./live";
import { NotesText } from "./notes_text";
import { Badge, Part, Said, Trouble, clock } from "./parts";
import { Steps } from "./plan_steps";
import { StartRun } from "./start_run";
import { words } from "./words";
import { offlineWords as o } from "./words_offline";

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

/** How it is done. What can't roll leaves no choice; what can may be done with downtime all the same. */
function Downtime({ path, wished, wish }: { path: Path; wished: boolean; wish: (downtime: boolean) => void }) {
  if (path.verdict === "downtime")
    return (
      <div class="notice" id="needs-downtime">
        <strong>{o.needed}</strong>
        <p>{o.neededMeans}</p>
      </div>
    );
  if (path.verdict !== "rolling") return null;
  return (
    <label class="tick">
      <input type="checkbox" checked={wished} onChange={(event) => wish(event.currentTarget.checked)} />
      <span>
        {o.wish}
        <span class="meta">{o.wishHint}</span>
      </span>
    </label>
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
  // What the list of versions says already; how high the way's place is depends on it.
  const rolls = offered.value?.versions.find((version) => version.shortName === chosen)?.isZduAvailable ?? true;
  const path = usePolled<Path>(to ? `/rest/afloat/1/runs/path?to=${to}` : null, 30_000);
  const [wished, setWished] = useState(false);
  useEffect(() => setWished(false), [chosen]);
  const offline = path.value?.verdict === "downtime" || (wished && path.value?.verdict === "rolling");
  const notes = usePolled<Notes>(to ? `/rest/afloat/1/runs/notes?to=${to}` : null, 15_000);
  // Which plan is wanted is known when the way is.
  const plan = usePolled<Plan>(to && path.value ? `/rest/afloat/1/runs/plan?to=${to}${offline ? "&offline=true" : ""}` : null, 10_000, shapePlan);
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
              <Part id="way" title={w.way} from={path} lines={2} rem={rolls ? 6.24 : 13.2}>
                {(value) => (
                  <>
                    <Way path={value} />
                    <Downtime path={value} wished={wished} wish={setWished} />
                  </>
                )}
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
                {(value) => <StartRun plan={value} notes={notes.value} offline={offline} site={cluster.value?.site ?? ""} hold={hold} setHold={setHold} started={() => go("/admin/upgrade")} />}
              </Part>
            </>
          )}
        </>
      )}
    </>
  );
}
