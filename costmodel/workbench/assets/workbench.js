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

  // Charts out of sight wait here, by id, until they are scrolled to or there is nothing to do.
  const waiting = {};
  const draw = (id) => {
    if (!(id in waiting)) return;
    window.dash_clientside.set_props(id, { figure: waiting[id] });
    delete waiting[id];
  };
  const within = (place, pixels) => {
    const box = place.getBoundingClientRect();
    return box.bottom > -pixels && box.top < window.innerHeight + pixels && box.width > 0;
  };
  const watcher = new IntersectionObserver(
    (entries) => entries.forEach(({ isIntersecting, target }) => isIntersecting && draw(target.id)),
    { rootMargin: "200px" },
  );
  const whenIdle = window.requestIdleCallback || ((run) => setTimeout(run, 100));

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

    // A chart in sight is drawn at once, but after the frame with the texts, which are quicker; one
    // near it when there is time; any other when it comes near.
    in_sight(figure, id) {
      const place = document.getElementById(id);
      const none = window.dash_clientside.no_update;
      if (!figure || !place) return none;
      watcher.observe(place);
      if (within(place, 0)) {
        delete waiting[id];
        return new Promise((drawn) => setTimeout(() => drawn(figure)));
      }
      waiting[id] = figure;
      if (within(place, 200)) whenIdle(() => draw(id));
      return none;
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
