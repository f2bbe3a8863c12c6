import { render } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { session } from "./api";
import { PlanPage } from "./plan_page";
import "./style.css";
import { UpgradePage } from "./upgrade_page";
import { words } from "./words";

const pages = [
  { path: "/admin/upgrade", title: words.pages.upgrade, Page: UpgradePage },
  { path: "/admin/upgrade/plan", title: words.pages.plan, Page: PlanPage },
];

/**
 * Going from page to page asks no node for a document: in the middle of an upgrade the one that answers may be of a
 * release that has no console.
 */
function Console() {
  const [path, setPath] = useState(location.pathname.replace(/\/$/, ""));
  const place = useRef<HTMLDivElement>(null);
  const here = pages.find((page) => page.path === path) ?? pages[0]!;
  const go = useCallback((to: string) => {
    history.pushState(null, "", to);
    setPath(to);
    window.scrollTo(0, 0);
    place.current?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    const moved = () => setPath(location.pathname.replace(/\/$/, ""));
    window.addEventListener("popstate", moved);
    return () => window.removeEventListener("popstate", moved);
  }, []);
  useEffect(() => {
    document.title = words.titleOf(here.title, session.site);
  }, [here]);
  return (
    <div class="console">
      <nav class="console-nav" aria-label={words.area}>
        <p class="console-area">{words.area}</p>
        <ul>
          {pages.map((page) => (
            <li key={page.path}>
              <a
                href={page.path}
                aria-current={page === here ? "page" : undefined}
                onClick={(event) => {
                  if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
                  event.preventDefault();
                  go(page.path);
                }}
              >
                {page.title}
              </a>
            </li>
          ))}
        </ul>
      </nav>
      <div class="console-page" tabIndex={-1} ref={place}>
        <here.Page go={go} />
      </div>
    </div>
  );
}

const root = document.getElementById("console");
if (root) render(<Console />, root);
