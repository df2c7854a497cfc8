// Small things that need the browser and not the server: the address bar, light and dark.
window.dash_clientside = window.dash_clientside || {};
(() => {
  const tabs = ["design", "calculator", "scaling", "devices", "onnx"];
  const narrow = window.matchMedia("(max-width: 45rem)");
  const dark = window.matchMedia("(prefers-color-scheme: dark)");

  window.dash_clientside.workbench = {
    // What the sliders stand at.
    shown: (...values) => values.map(String),

    // Light or dark: as chosen before, else as the system is; a click changes it.
    screen(clicks, stored) {
      let mode = stored === "dark" || stored === "light" ? stored : dark.matches ? "dark" : "light";
      if (clicks) mode = document.documentElement.dataset.mode === "dark" ? "light" : "dark";
      document.documentElement.dataset.mode = mode;
      const kept = clicks ? mode : window.dash_clientside.no_update;
      return [{ mode, narrow: narrow.matches }, kept, mode === "dark" ? "Light" : "Dark"];
    },

    // The state becomes the address, and goes to the tab that is open and to no other.
    route(query, tab) {
      if (query === undefined || query === null) return Array(tabs.length + 4).fill(window.dash_clientside.no_update);
      window.history.replaceState(window.history.state, "", window.location.pathname + (query ? `?${query}` : ""));
      const none = window.dash_clientside.no_update;
      const open = new URLSearchParams(query).get("tab") || "design";
      const files = ["yaml", "csv", "py"].map((kind) => `/export/design.${kind}${query ? `?${query}` : ""}`);
      return [...tabs.map((name) => (name === open ? query : none)), ...files, open];
    },
  };
})();
