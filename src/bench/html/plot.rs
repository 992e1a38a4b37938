//! Plots as inline SVG. Colors come from the page's style.

use std::fmt::Write as _;

use super::elements::escape;
use crate::output::human;
use tcpctl_engine::times::Times;

/// The drawing's size and margins, pixels.
const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 316.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 44.0;
const TOP: f64 = 46.0;
const BOTTOM: f64 = 70.0;
/// The baselines of axis names: below the axis, and above it. On paper, style moves them apart.
const X_NAME: f64 = 44.0;
const Y_NAME: f64 = 14.0;

/// Maximum labels of a printed axis, where text is large relative to the drawing.
const MAX_PRINTED: usize = 5;

/// Maximum points of a curve.
const MAX_POINTS: usize = 600;

/// An axis: name, range and format of its values.
#[derive(Debug, Clone)]
pub(crate) struct Scale {
    name: String,
    low: f64,
    high: f64,
    kind: Kind,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Linear,
    Logarithmic,
    /// The decimal logarithm of 1 / (1 - quantile).
    Nines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Number,
    Microseconds,
}

impl Scale {
    pub(crate) fn linear(name: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high <= low {
            high = low + 1.0;
        }
        Self {
            name: name.to_owned(),
            low,
            high,
            kind: Kind::Linear,
            unit: Unit::Number,
        }
    }

    pub(crate) fn time(name: &str, values: impl IntoIterator<Item = f64>) -> Self {
        Self {
            unit: Unit::Microseconds,
            ..Self::linear(name, values)
        }
    }

    pub(crate) fn percentile(nines: impl IntoIterator<Item = f64>) -> Self {
        let name = "percentile of requests";
        Self {
            kind: Kind::Nines,
            low: 0.0,
            ..Self::linear(name, nines)
        }
    }

    /// Starts at zero, with some room above the highest value.
    pub(crate) fn with_zero(mut self) -> Self {
        self.low = 0.0;
        self.high = (self.high * 1.08).max(1.0);
        self
    }

    pub(crate) fn logarithmic(mut self) -> Self {
        self.kind = Kind::Logarithmic;
        // Widens the range to 1, 2 or 5 times a power of ten, so that the curve touches no edge.
        self.low = nice(self.low.max(0.1) * 0.999, f64::floor);
        self.high = nice(self.high.max(0.2) * 1.001, f64::ceil);
        if self.high <= self.low {
            self.high = self.low * 10.0;
        }
        self
    }

    /// The position of a value, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let place = match self.kind {
            Kind::Linear | Kind::Nines => (value - self.low) / (self.high - self.low),
            Kind::Logarithmic => {
                (value.max(self.low) / self.low).log10() / (self.high / self.low).log10()
            }
        };
        place.clamp(0.0, 1.0)
    }

    /// The labeled values.
    fn ticks(&self) -> Vec<(f64, String)> {
        let values = match self.kind {
            Kind::Linear => linear_ticks(self.low, self.high),
            Kind::Logarithmic => logarithmic_ticks(self.low, self.high),
            Kind::Nines => return self.nines(),
        };
        values
            .into_iter()
            .map(|value| (value, self.show(value)))
            .collect()
    }

    fn show(&self, value: f64) -> String {
        match self.unit {
            Unit::Number => human::number(value),
            Unit::Microseconds if value <= 0.0 => "0".to_owned(),
            Unit::Microseconds => {
                let (value, unit) = match value {
                    us if us < 1e3 => (us, "us"),
                    us if us < 1e6 => (us / 1e3, "ms"),
                    us => (us / 1e6, "s"),
                };
                // Ticks are round numbers: 2 ms, not 2.00 ms.
                let digits = format!("{value:.2}");
                let digits = digits.trim_end_matches('0').trim_end_matches('.');
                format!("{digits} {unit}")
            }
        }
    }

    fn nines(&self) -> Vec<(f64, String)> {
        let named = [
            (0.5, "50%"),
            (0.9, "90%"),
            (0.99, "99%"),
            (0.999, "99.9%"),
            (0.9999, "99.99%"),
            (0.99999, "99.999%"),
            (0.999_999, "99.9999%"),
            (0.999_999_9, "99.99999%"),
        ];
        let mut ticks = vec![(0.0, "0%".to_owned())];
        ticks.extend(
            named
                .into_iter()
                .map(|(quantile, name)| (-f64::log10(1.0 - quantile), name.to_owned()))
                .filter(|(nines, _)| *nines <= self.high + 1e-6),
        );
        ticks
    }
}

/// The next of 1, 2 and 5 times a power of ten, down with `floor`, up with `ceil`.
fn nice(value: f64, direction: fn(f64) -> f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let share = value / power;
    let steps = [1.0, 2.0, 5.0, 10.0];
    let up = direction(0.5) > 0.5;
    let step = if up {
        steps.into_iter().find(|step| *step >= share)
    } else {
        steps.into_iter().rev().find(|step| *step <= share)
    };
    step.unwrap_or(1.0) * power
}

fn linear_ticks(low: f64, high: f64) -> Vec<f64> {
    let step = nice((high - low) / 5.0, f64::ceil);
    let mut ticks = Vec::new();
    let mut tick = (low / step).ceil() * step;
    while tick <= high + step * 1e-6 && ticks.len() < 12 {
        ticks.push(tick);
        tick += step;
    }
    ticks
}

fn logarithmic_ticks(low: f64, high: f64) -> Vec<f64> {
    let decades = (high / low).log10();
    let steps: &[f64] = if decades < 4.0 {
        &[1.0, 2.0, 5.0]
    } else {
        &[1.0]
    };
    let mut ticks = Vec::new();
    let mut power = 10_f64.powf(low.log10().floor());
    while power <= high && ticks.len() < 40 {
        let inside = |tick: &f64| *tick >= low * 0.999 && *tick <= high * 1.001;
        ticks.extend(steps.iter().map(|step| step * power).filter(inside));
        power *= 10.0;
    }
    ticks
}

/// Ticks with the attribute of their label: only some labels are printed, all are shown on screen.
fn printed(ticks: Vec<(f64, String)>) -> impl Iterator<Item = (f64, String, &'static str)> {
    let step = ticks.len().div_ceil(MAX_PRINTED).max(1);
    let attribute = move |at: usize| match at % step {
        0 => "",
        _ => " class=\"screen\"",
    };
    let ticks = ticks.into_iter().enumerate();
    ticks.map(move |(at, (value, name))| (value, name, attribute(at)))
}

/// How to draw a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// A line through its points.
    Line,
    /// A bar per point, one unit wide.
    Bars,
}

/// A named series of points; `class` is its color.
#[derive(Debug, Clone)]
pub(crate) struct Curve {
    name: &'static str,
    class: &'static str,
    style: Style,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Curve {
    pub(crate) fn new(
        name: &'static str,
        class: &'static str,
        style: Style,
        points: Vec<(f64, f64)>,
    ) -> Self {
        Self {
            name,
            class,
            style,
            points,
        }
    }
}

/// A plot: axes, curves, and an optional vertical line with a name.
#[derive(Debug, Clone)]
pub(crate) struct Plot {
    pub(crate) title: &'static str,
    pub(crate) x: Scale,
    pub(crate) y: Scale,
    pub(crate) mark: Option<(f64, String)>,
    pub(crate) curves: Vec<Curve>,
}

impl Plot {
    /// The plot as an HTML figure with a caption, a legend and a text alternative.
    pub(crate) fn figure(&self) -> String {
        let mut svg = String::new();
        self.axes(&mut svg);
        if let Some((at, name)) = &self.mark {
            let x = self.across(*at);
            // Keeps the name inside the drawing.
            let (anchor, offset) = if x > WIDTH / 2.0 {
                ("end", -6.0)
            } else {
                ("start", 6.0)
            };
            let _ = writeln!(
                svg,
                "<line class=\"mark\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>\
                 <text class=\"mark y-name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                HEIGHT - BOTTOM,
                x + offset,
                TOP - Y_NAME,
                escape(name)
            );
        }
        for curve in &self.curves {
            match curve.style {
                Style::Line => self.line(curve, &mut svg),
                Style::Bars => self.bars(curve, &mut svg),
            }
        }
        let names: Vec<_> = self.curves.iter().map(|curve| curve.name).collect();
        let label = format!("{}: {}", self.title, names.join(", "));
        let mut legend = String::new();
        for curve in &self.curves {
            let (class, name) = (curve.class, escape(curve.name));
            let _ = write!(legend, "<span class=\"key {class}\">{name}</span>");
        }
        format!(
            "<figure>\n<figcaption>{} {legend}</figcaption>\n\
             <div class=\"plot\"><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n\
             {svg}</svg></div>\n</figure>\n",
            escape(self.title),
            escape(&label)
        )
    }

    fn across(&self, value: f64) -> f64 {
        LEFT + self.x.place(value) * (WIDTH - LEFT - RIGHT)
    }

    fn up(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.place(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn axes(&self, svg: &mut String) {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for (value, name, class) in printed(self.y.ticks()) {
            let y = self.up(value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{right}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text{class} x=\"{:.1}\" y=\"{y:.1}\" dy=\".35em\" text-anchor=\"end\">{}</text>",
                LEFT - 8.0,
                escape(&name)
            );
        }
        for (value, name, class) in printed(self.x.ticks()) {
            let x = self.across(value);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>\
                 <g class=\"x\"><text{class} x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text></g>",
                bottom + 20.0,
                escape(&name)
            );
        }
        let _ = writeln!(
            svg,
            "<text class=\"x-name\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"y-name\" x=\"0\" y=\"{:.1}\">{}</text>",
            f64::midpoint(LEFT, right),
            bottom + X_NAME,
            escape(&self.x.name),
            TOP - Y_NAME,
            escape(&self.y.name)
        );
    }

    fn line(&self, curve: &Curve, svg: &mut String) {
        let step = curve.points.len().div_ceil(MAX_POINTS).max(1);
        let last = curve.points.len().saturating_sub(1);
        let mut path = String::new();
        let chosen = curve
            .points
            .iter()
            .enumerate()
            .filter(|(at, _)| at % step == 0 || *at == last);
        for (at, (x, y)) in chosen {
            let command = if at == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{command}{:.1} {:.1}", self.across(*x), self.up(*y));
        }
        let _ = writeln!(svg, "<path class=\"line {}\" d=\"{path}\"/>", curve.class);
        if curve.points.len() <= 40 {
            for (x, y) in &curve.points {
                let (x, y, class) = (self.across(*x), self.up(*y), curve.class);
                let _ = writeln!(
                    svg,
                    "<circle class=\"dot {class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>"
                );
            }
        }
    }

    fn bars(&self, curve: &Curve, svg: &mut String) {
        for (x, y) in curve.points.iter().filter(|(_, y)| *y > 0.0) {
            let (left, right) = (self.across(x - 0.4), self.across(x + 0.4));
            let top = self.up(*y);
            let _ = writeln!(
                svg,
                "<rect class=\"bar {}\" x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
                curve.class,
                (right - left).max(1.0),
                HEIGHT - BOTTOM - top
            );
        }
    }
}

/// The percentile curve of times in nanoseconds: the logarithm of 1 / (1 - quantile), and
/// microseconds. It ends with the maximum, at the quantile of one sample.
pub(crate) fn percentile_points(times: &Times) -> Vec<(f64, f64)> {
    // The slowest of n requests is at quantile 1 - 1/n.
    let furthest = (times.len() as f64).max(2.0).log10();
    let steps = 240_u32;
    (0..=steps)
        .map(|step| {
            let nines = furthest * f64::from(step) / f64::from(steps);
            let quantile = 1.0 - 10_f64.powf(-nines);
            let value = match step {
                _ if step == steps => times.max(),
                _ => times.value_at_quantile(quantile),
            };
            (nines, value as f64 / 1e3)
        })
        .collect()
}

#[cfg(test)]
mod tests;
