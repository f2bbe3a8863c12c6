// Every text that this console itself shows, in one place for translation. What the site answers (messages of checks,
// titles of steps, reasons of a refusal) comes from the server as it is.

export type Phase =
  | "STABLE"
  | "READY_TO_UPGRADE"
  | "MIXED"
  | "READY_TO_RUN_UPGRADE_TASKS"
  | "RUNNING_UPGRADE_TASKS"
  | "UPGRADE_TASKS_FAILED";

export const plural = (count: number, one: string, many: string) => `${count} ${count === 1 ? one : many}`;

export const words = {
  area: "General configuration",
  pages: { upgrade: "Rolling upgrades", plan: "Plan your upgrade" },
  titleOf: (page: string, site: string) => `${page} - ${site}`,
  loading: "Asking the site…",
  close: "Close",
  back: "Not now",
  copyOfText: "Copy",
  copied: "Copied",

  connection: {
    lost: "The site does not answer at the moment. What you see is from the last answer; this page goes on asking.",
    ended: "Your session has ended.",
    signIn: "Sign in again",
    forbidden: "Your account no longer has the right to see this.",
    olderNode:
      "A node of an older release answered, and it does not know this yet. That is normal in the middle of an upgrade: this page asks again until a newer one answers.",
    refused: "That was not done",
    unclear: "No answer came, so it is not known whether this was done. Look at the state below before you try again.",
  },

  reload: {
    offer: (served: string, site: string) => `This page comes from ${served}, and the site is now on ${site}. It goes on working; reload it when it suits you.`,
    button: "Reload",
  },

  phases: {
    STABLE: {
      label: "Stable",
      means: "Every node runs the same release, and upgrade mode is off.",
      next: "Nothing needs to be done. When a newer release is there, plan the upgrade to it.",
    },
    READY_TO_UPGRADE: {
      label: "Ready to upgrade",
      means: "Upgrade mode is on, and every node still runs the old release. Nothing has changed for users.",
      next: "Upgrade the nodes one after the other, or cancel to leave everything as it was.",
    },
    MIXED: {
      label: "Mixed",
      means: "Nodes of two releases serve together. Users notice nothing, and the new release's features stay off.",
      next: "Upgrade the nodes that are left. Until you finalize, every node can go back.",
    },
    READY_TO_RUN_UPGRADE_TASKS: {
      label: "Ready to run upgrade tasks",
      means: "Every node runs the new release. You can still go back to the old one.",
      next: "Look around in the wiki. When you are content, run the upgrade tasks and finalize: from then on there is no way back.",
    },
    RUNNING_UPGRADE_TASKS: {
      label: "Running upgrade tasks",
      means: "The upgrade is being finalized: the data takes its new form while the site serves. There is no way back now.",
      next: "Wait. The nodes do this by themselves, also when one of them restarts.",
    },
    UPGRADE_TASKS_FAILED: {
      label: "Failed",
      means: "An upgrade task failed while finalizing. The site serves all the same, and no data is lost.",
      next: "Read below what failed, mend the cause, then retry.",
    },
  } satisfies Record<Phase, { label: string; means: string; next: string }>,
  unknownPhase: { label: "Unknown", means: "", next: "" },
  whatItMeans: "What this means",
  whatNext: "What to do next",
  siteSays: "In detail",
  clusterStatus: "Cluster status",
  clusterVersion: "Site's version",
  upgradeMode: "Upgrade mode",
  modeOn: "On",
  modeOff: "Off",
  phaseTrail: "Where the upgrade is",

  byRun: {
    running: "A run upgrades the nodes by itself. You can look away, pause it, or take everything back.",
    held: "The run waits for you: it finalizes when you say so, or takes every node back when you cancel.",
    paused: "The run has paused. Read below why, then resume it or cancel it.",
    rolling_back: "The run takes every node back to the old release. Wait until it is done.",
  },

  nodes: {
    heading: "Nodes",
    name: "Node",
    version: "Version",
    state: "Status",
    tasks: "Tasks running",
    users: "Active users",
    load: "Load",
    silent: "has not been heard of",
    none: "No node has joined this site yet. Start one.",
    target: "new",
    summary: (active: number, all: number) => `${active} of ${plural(all, "node serves", "nodes serve")}`,
  },
  nodeStates: {
    ACTIVE: "Active",
    STARTING: "Starting",
    DRAINING: "Draining",
    TERMINATING: "Stopping",
    OFFLINE: "Offline",
    ERROR: "Error",
    RUNNING_FINALIZE_UPGRADE_TASKS: "Running upgrade tasks",
    UPGRADE_TASKS_FAILED: "Upgrade tasks failed",
  } as Record<string, string>,

  tasks: {
    heading: "Upgrade tasks",
    failed: (task: string) => `${task} failed`,
    attempts: (count: number) => plural(count, "attempt", "attempts"),
    progress: (done: number, total: number) => `${done.toLocaleString("en")} of ${total.toLocaleString("en")}`,
    states: { pending: "Waiting", running: "Running", done: "Done", failed: "Failed" } as Record<string, string>,
    kinds: {
      expand: "widens the schema",
      backfill: "fills in the new form",
      contract: "removes the old form",
    } as Record<string, string>,
  },

  run: {
    heading: (id: number) => `Upgrade run ${id}`,
    latest: (id: number) => `Latest upgrade: run ${id}`,
    way: (from: string, to: string) => `${from} → ${to}`,
    startedBy: (actor: string, time: string) => `Started by ${actor}, ${time}`,
    reason: "Reason given",
    states: {
      running: "Running",
      paused: "Paused",
      held: "Waits for you",
      rolling_back: "Going back",
      done: "Done",
      cancelled: "Cancelled",
      failed: "Did not begin",
    } as Record<string, string>,
    progress: (done: number, total: number) => `${done} of ${total} steps`,
    left: (time: string) => `about ${time} left`,
    took: (time: string) => `took ${time}`,
    now: "Now",
    heldFor: (time: string) => `Every node runs the new release. The run has waited for you for ${time}; nothing more happens until you decide.`,
    live: "Live",
    reconnecting: "Connecting to another node…",
    timeline: "Timeline",
    timelineIn: (time: string) => `Timeline of the run, ${time} so far. The table of steps below says the same in words.`,
    allSteps: (count: number) => `All steps (${count})`,
    site: "Site",
    step: "Step",
    took_: "Took",
    what: "What was seen",
    noConductor:
      "No conductor is at work, so no run can go on. Start one on a host of this site: afloat conductor --config site.toml",
    kinds: {
      prepare: "Prepare",
      drain: "Drain",
      restart: "Restart on the release",
      compare: "Try and compare",
      hold: "Hold",
      finalize: "Finalize",
      back: "Way back",
      trouble: "Paused or refused",
    } as Record<string, string>,
    stepStates: {
      running: "Running",
      paused: "Paused",
      done: "Done",
      refused: "Refused",
      interrupted: "Left off",
    } as Record<string, string>,
  },

  actions: {
    plan: "Plan your upgrade",
    finalize: {
      button: "Run upgrade tasks and finalize upgrade",
      title: "Finalize this upgrade?",
      effect: (to: string) => [
        `The site moves to ${to} for good: its features come on, and the upgrade tasks change the data.`,
        "Users can go on working; nothing is taken away from them.",
        "There is no way back after this. Nodes of the old release can't join this site any more.",
      ],
      confirm: "Finalize, no way back",
      type: (site: string) => `To confirm, type the site's name: ${site}`,
    },
    startMode: {
      button: "Start upgrade mode",
      title: "Start upgrade mode?",
      effect: () => [
        "Nodes of one newer release may join beside the present ones. Nothing changes for users.",
        "You then stop, upgrade and start each node yourself. To have it done for you, use Plan your upgrade instead.",
        "As long as all nodes run the old release you can cancel.",
      ],
      confirm: "Start upgrade mode",
    },
    cancelMode: {
      button: "Cancel upgrade mode",
      title: "Cancel upgrade mode?",
      effect: () => ["Upgrade mode is turned off, and everything is as before. Nothing changes for users."],
      confirm: "Cancel upgrade mode",
    },
    cancelModeNotNow: "Upgrade mode can be cancelled once every node is back on the old release.",
    cancelRun: {
      button: "Cancel the upgrade",
      title: "Cancel this upgrade?",
      effect: (from: string) => [
        `Every node that was upgraded goes back to ${from}, one after the other, and upgrade mode is turned off.`,
        "Users can go on working, and nothing that they have written is lost.",
      ],
      confirm: "Take every node back",
    },
    pause: { button: "Pause", hint: "The run stops before its next step. A node that is away comes back first." },
    resume: { button: "Resume", hint: "The run goes on with the step at which it paused." },
    retry: { button: "Retry", hint: "The upgrade tasks that failed run again, from where they were." },
    done: {
      finalize: "Finalizing has begun.",
      startMode: "Upgrade mode is on.",
      cancelMode: "Upgrade mode is off.",
      cancelRun: "The run takes every node back.",
      pause: "The run pauses before its next step.",
      resume: "The run goes on.",
      retry: "The upgrade tasks run again.",
    } as Record<string, string>,
  },

  plan: {
    lead: "See what an upgrade will do before it does it. Nothing on this page changes the site until you press Start.",
    underWay: "An upgrade is under way. It has to be finished or cancelled before another one can be planned.",
    goThere: "Go to Rolling upgrades",
    choose: "1. Choose the version",
    none: (version: string) => `This site runs ${version}, and its catalogue has no newer release.`,
    noneHow: "Put a release into the catalogue that site.toml names, or fetch one with: afloat releases fetch",
    rolls: "No downtime",
    downtime: "Needs downtime",
    cannot: "Not possible from here",
    way: "2. The way there",
    hop: (from: string, to: string) => `${from} to ${to}`,
    hops: (count: number) => plural(count, "hop", "hops"),
    notes: "3. Release notes",
    notesLead: "They tell what changes for users and administrators. A run asks that somebody has read them.",
    notesAcknowledge: (count: number) =>
      count === 1 ? "I have read these release notes" : "I have read the release notes of all these versions",
    notesRead: (by: string, time: string) => `Read by ${by}, ${time}`,
    notesUnread: "Not acknowledged yet",
    notesAllRead: "All of them were acknowledged.",
    /** Where a check can be put right on this very page. */
    here: { notes_acknowledged: "Read them above, under Release notes, and say so there." } as Record<string, string>,
    checks: "4. Checks",
    checkAgain: "Check again",
    checking: "Checking…",
    checkedAt: (time: string) => `Checked at ${time}`,
    results: { fail: "Fails", warn: "Warning", unknown: "Not known", pass: "Passed" } as Record<string, string>,
    counts: (count: number, result: string) =>
      ({
        fail: plural(count, "check fails", "checks fail"),
        warn: plural(count, "warning", "warnings"),
        unknown: `${count} not known`,
        pass: `${count} passed`,
      })[result] ?? "",
    passedOnes: (count: number) => plural(count, "check that passed", "checks that passed"),
    found: "Found",
    why: "Why it matters",
    toDo: "What to do",
    steps: "5. What will happen",
    stepsLead: (time: string) => `About ${time}, after which the run waits for you before it finalizes.`,
    stepsLeadNoHold: (time: string) => `About ${time} in all.`,
    stage: "Stage",
    expected: "Expected",
    before: "Before the first node",
    node: (name: string, index: number, count: number) => `${name} (${index} of ${count})`,
    after: "After the last node",
    hopStage: (stage: string, to: string) => `${stage}, to ${to}`,
    noReturn: "no way back from here",
    start: "6. Start",
    reason: "Reason (kept with the run)",
    reasonHint: "For those who read the history later, such as a change number.",
    hold: "Wait for me before finalizing",
    holdHint: "Recommended. Every node runs the new release by then, and you can still go back.",
    button: (to: string) => `Start the upgrade to ${to}`,
    blocked: "The upgrade can't start yet:",
    blockedNotes: "the release notes are not acknowledged",
    blockedDowntime: "this version takes downtime, which the command line does: afloat upgrade run --offline",
    confirmTitle: (to: string) => `Start the upgrade to ${to}?`,
    effect: (hold: boolean) => [
      "The nodes are replaced one after the other, the least busy first. Users can go on working all the while.",
      "Each new node is compared with the others; where it is worse, it goes back and the run pauses.",
      hold
        ? "At the end the run waits for you. Until you finalize, you can take everything back."
        : "At the end the run finalizes by itself. From then on there is no way back.",
    ],
    confirm: "Start",
  },
};
