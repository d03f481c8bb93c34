// A figure as a part of the page, drawn again when what it shows changes, and what comes near the window.

import { useEffect, useRef, useState } from "preact/hooks";

const NEAR = "150px";

/** Return whether an element has been near the window, or the page has been printed. */
export function useNear(element) {
  const [isNear, setNear] = useState(false);
  useEffect(() => {
    const come = () => setNear(true);
    const watch = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && come(), { rootMargin: NEAR });
    watch.observe(element.current);
    addEventListener("beforeprint", come);
    return () => {
      watch.disconnect();
      removeEventListener("beforeprint", come);
    };
  }, []);
  return isNear;
}

/** The figure that `draw` makes of data and options; both must stay the same objects while they mean the same. */
export function Figure({ draw, data, options }) {
  const element = useRef(null);
  const figure = useRef(null);
  const drawn = useRef([]);
  useEffect(() => {
    figure.current = draw(element.current, data, options);
    drawn.current = [data, options];
    return () => figure.current.destroy();
  }, [draw]);
  useEffect(() => {
    if (drawn.current[0] === data && drawn.current[1] === options) return;
    drawn.current = [data, options];
    figure.current.update(data, options);
  }, [data, options]);
  return <div class="figure-place" ref={element} />;
}
