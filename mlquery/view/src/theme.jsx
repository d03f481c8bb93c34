// The look: light, dark, or as the system has it. It is kept in this browser.

import { useEffect, useState } from "preact/hooks";

const KEPT = "mlquery.theme";
const NAMES = { system: "As the system", light: "Light", dark: "Dark" };

function kept() {
  try {
    return localStorage.getItem(KEPT) ?? "system";
  } catch {
    return "system"; // there is no storage here
  }
}

export function ThemeSwitch() {
  const [theme, setTheme] = useState(kept);
  useEffect(() => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(KEPT, theme);
    } catch {
      // it is forgotten with the page
    }
  }, [theme]);
  return (
    <label class="choice">
      <span class="unseen">Look</span>
      <select value={theme} onChange={(event) => setTheme(event.currentTarget.value)}>
        {Object.entries(NAMES).map(([key, name]) => (
          <option key={key} value={key}>
            {name}
          </option>
        ))}
      </select>
    </label>
  );
}
