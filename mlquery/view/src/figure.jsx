// A figure as a part of the page: drawn when it comes near the window or is printed, and again when what it shows changes.

import { useEffect, useRef } from "preact/hooks";

const NEAR = "300px";

/** The figure that `draw` makes of data and options; both must stay the same objects while they mean the same. */
export function Figure({ draw, data, options }) {
  const element = useRef(null);
  const figure = useRef(null);
  const wanted = useRef([data, options]);
  wanted.current = [data, options];
  useEffect(() => {
    const start = () => {
      figure.current ??= draw(element.current, ...wanted.current);
    };
    const watch = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && start(), { rootMargin: NEAR });
    watch.observe(element.current);
    addEventListener("beforeprint", start);
    return () => {
      watch.disconnect();
      removeEventListener("beforeprint", start);
      figure.current?.destroy();
      figure.current = null;
    };
  }, [draw]);
  useEffect(() => figure.current?.update(data, options), [data, options]);
  return <div class="figure-place" ref={element} />;
}
