// Small things that need the browser and not the server: the address bar, light and dark, and what
// is quicker without Dash.
window.dash_clientside = window.dash_clientside || {};
(() => {
  const tabs = ["design", "calculator", "scaling", "devices", "onnx"];
  const narrow = window.matchMedia("(max-width: 45rem)");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  const chosen = (stored) =>
    stored === "dark" || stored === "light" ? stored : dark.matches ? "dark" : "light";

  // Before anything is drawn, or a dark page would begin as a white one.
  let kept = null;
  try {
    kept = JSON.parse(window.localStorage.getItem("stored-mode"));
  } catch {
    // Not readable: as the system is.
  }
  document.documentElement.dataset.mode = chosen(kept);

  // Charts out of sight wait here, by id, until they are scrolled to.
  const waiting = {};
  const near = (place) => {
    const box = place.getBoundingClientRect();
    return box.bottom > -200 && box.top < window.innerHeight + 200 && box.width > 0;
  };
  const watcher = new IntersectionObserver(
    (entries) => entries.forEach(({ isIntersecting, target }) => {
      if (!isIntersecting || !(target.id in waiting)) return;
      window.dash_clientside.set_props(target.id, { figure: waiting[target.id] });
      delete waiting[target.id];
    }),
    { rootMargin: "200px" },
  );

  // Cards, tables and texts are put up here and not by Dash, which asks every component it holds at
  // every change whether it is concerned. Text stays text: nothing is read as HTML.
  const element = (tree) => {
    if (tree === null || typeof tree !== "object") return document.createTextNode(tree ?? "");
    const { children, className, style, ...attributes } = tree.props;
    const made = document.createElement(tree.type);
    if (className) made.className = className;
    Object.assign(made.style, style);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.append(...[children ?? []].flat().map(element));
    return made;
  };
  const painted = {};

  window.dash_clientside.workbench = {
    // What came for some places, which keep what they have if nothing new came.
    paint(...trees) {
      const places = window.dash_clientside.callback_context.inputs_list;
      places.forEach(({ id }, index) => {
        if (trees[index] === undefined || painted[id] === trees[index]) return;
        painted[id] = trees[index];
        const place = document.getElementById(id.slice("painted-".length));
        place.replaceChildren(...[trees[index] ?? []].flat().map(element));
      });
    },

    // A chart is drawn at once if it is in sight, and when it comes into sight if not.
    in_sight(figure, id) {
      const place = document.getElementById(id);
      if (!figure || !place) return window.dash_clientside.no_update;
      watcher.observe(place);
      if (near(place)) {
        delete waiting[id];
        return figure;
      }
      waiting[id] = figure;
      return window.dash_clientside.no_update;
    },

    // What the sliders stand at.
    shown(...values) {
      const sliders = window.dash_clientside.callback_context.inputs_list;
      sliders.forEach(({ id }, index) => {
        document.getElementById(`shown-${id}`).textContent = values[index];
      });
    },

    // Light or dark: as chosen before, else as the system is; a click changes it.
    screen(clicks, stored) {
      let mode = chosen(stored);
      if (clicks) mode = document.documentElement.dataset.mode === "dark" ? "light" : "dark";
      document.documentElement.dataset.mode = mode;
      const keep = clicks ? mode : window.dash_clientside.no_update;
      return [{ mode, narrow: narrow.matches }, keep, mode === "dark" ? "Light" : "Dark"];
    },

    // The state becomes the address, and goes to the tab that is open and to no other.
    route(query) {
      const none = window.dash_clientside.no_update;
      if (query === undefined || query === null) return Array(tabs.length).fill(none);
      const search = query ? `?${query}` : "";
      const { history, location } = window;
      history.replaceState(history.state, "", location.pathname + search);
      const open = new URLSearchParams(query).get("tab") || "design";
      for (const kind of ["yaml", "csv", "py"])
        document.getElementById(`export-${kind}`).href = `/export/design.${kind}${search}`;
      document.getElementById("workbench").dataset.tab = open;
      return tabs.map((name) => (name === open ? query : none));
    },
  };
})();
