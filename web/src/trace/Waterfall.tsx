/** The spans of a trace over time. Arrow keys walk the rows and fold them; the panel shows the selected span. */

import { useMemo, useRef, useState, type KeyboardEvent } from 'react';

import type { Span } from '../api/types';
import { duration } from '../format/time';
import { SpanPanel } from './SpanPanel';
import { visible, waterfall, type Bar } from './bars';

const INDENT = 14;

export function Waterfall({ spans }: { spans: Span[] }) {
  const bars = useMemo(() => waterfall(spans), [spans]);
  const [collapsed, setCollapsed] = useState<ReadonlySet<string>>(new Set());
  const [selected, setSelected] = useState(bars[0]?.span.span_id ?? '');
  const box = useRef<HTMLDivElement>(null);
  const shown = visible(bars, collapsed);

  const fold = (id: string, closed: boolean) => {
    const next = new Set(collapsed);
    if (closed) next.add(id);
    else next.delete(id);
    setCollapsed(next);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const at = shown.findIndex((bar) => bar.span.span_id === selected);
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    const next = shown[at + step];
    if (step !== 0 && next) {
      setSelected(next.span.span_id);
      box.current?.querySelectorAll<HTMLElement>('[role=treeitem]')[at + step]?.focus();
    } else if (event.key === 'ArrowLeft') fold(selected, true);
    else if (event.key === 'ArrowRight') fold(selected, false);
    else return;
    event.preventDefault();
  };
  const chosen = bars.find((bar) => bar.span.span_id === selected);
  return (
    <div className="trace-columns">
      <div className="waterfall" role="tree" aria-label="Spans" ref={box} onKeyDown={onKeyDown}>
        {shown.map((bar) => (
          <Row
            key={bar.span.span_id}
            bar={bar}
            selected={bar.span.span_id === selected}
            collapsed={collapsed.has(bar.span.span_id)}
            onSelect={() => setSelected(bar.span.span_id)}
            onFold={(closed) => fold(bar.span.span_id, closed)}
          />
        ))}
      </div>
      {chosen && <SpanPanel bar={chosen} />}
    </div>
  );
}

interface RowProps {
  bar: Bar;
  selected: boolean;
  collapsed: boolean;
  onSelect: () => void;
  onFold: (closed: boolean) => void;
}

function Row({ bar, selected, collapsed, onSelect, onFold }: RowProps) {
  const { span, depth, offset, width, children } = bar;
  return (
    <div
      className="span-row"
      role="treeitem"
      aria-level={depth + 1}
      aria-selected={selected}
      aria-expanded={children > 0 ? !collapsed : undefined}
      aria-label={`${span.name}, ${duration(bar.duration_ms)}${span.status === 'error' ? ', error' : ''}`}
      tabIndex={selected ? 0 : -1}
      onClick={onSelect}
    >
      <span className="span-name" style={{ paddingLeft: depth * INDENT }} title={span.name}>
        <span
          className="span-fold"
          aria-hidden="true"
          onClick={(event) => {
            event.stopPropagation();
            if (children > 0) onFold(!collapsed);
          }}
        >
          {children > 0 ? (collapsed ? '▸' : '▾') : ''}
        </span>
        <span className="truncate">{span.name}</span>
      </span>
      <span className="span-track">
        <span
          className="span-bar"
          data-status={span.status}
          style={{ left: `${Math.min(offset, 0.995) * 100}%`, width: `${width * 100}%` }}
        />
      </span>
      <span className="number">{duration(bar.duration_ms)}</span>
    </div>
  );
}
