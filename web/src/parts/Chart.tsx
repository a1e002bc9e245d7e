/** The one place that touches ECharts: registers what the console draws and keeps a chart in step with its box. */

import { LineChart, ScatterChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TooltipComponent } from 'echarts/components';
import { init, use, type ECharts, type EChartsCoreOption } from 'echarts/core';
import { CanvasRenderer } from 'echarts/renderers';
import { useEffect, useRef } from 'react';

use([LineChart, ScatterChart, GridComponent, LegendComponent, TooltipComponent, CanvasRenderer]);

interface ChartProps {
  option: EChartsCoreOption;
  dark: boolean;
  height: number;
  /** What the chart shows, in a sentence, for who cannot see it. */
  label: string;
  /** Called with the name of the data item that was clicked. */
  onPick?: (name: string) => void;
}

export default function Chart({ option, dark, height, label, onPick }: ChartProps) {
  const box = useRef<HTMLDivElement>(null);
  const chart = useRef<ECharts>(null);
  const pick = useRef(onPick);

  useEffect(() => {
    pick.current = onPick;
  }, [onPick]);

  useEffect(() => {
    if (!box.current) return undefined;
    const made = init(box.current, dark ? 'dark' : null);
    made.on('click', (event) => pick.current?.(event.name));
    chart.current = made;
    const watch = new ResizeObserver(() => made.resize());
    watch.observe(box.current);
    return () => {
      watch.disconnect();
      made.dispose();
    };
  }, [dark]);

  useEffect(() => {
    chart.current?.setOption({ backgroundColor: 'transparent', ...option }, { notMerge: true });
  }, [option, dark]);

  return <div ref={box} role="img" aria-label={label} style={{ height }} />;
}
