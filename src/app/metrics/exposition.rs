//! The text of metrics, in either version: families of samples, each with its labels.

use std::fmt::Write;
use std::time::Duration;

use crate::tally::{BOUNDS_US, Histogram};

/// Which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    OpenMetrics,
    /// Prometheus' text format 0.0.4.
    Prometheus,
}

impl Version {
    /// The older one only for whoever names it and not the newer.
    pub fn for_accept(accept: Option<&[u8]>) -> Self {
        let accept = String::from_utf8_lossy(accept.unwrap_or_default()).to_ascii_lowercase();
        let older = accept.contains("text/plain") && !accept.contains("application/openmetrics-text");
        if older { Self::Prometheus } else { Self::OpenMetrics }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What a family measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A text that is being written.
pub struct Exposition {
    version: Version,
    /// The label that every sample has, escaped.
    location: String,
    family: &'static str,
    kind: Kind,
    text: String,
}

impl Exposition {
    pub fn new(version: Version, location: &str) -> Self {
        let location = location.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        Self { version, location, family: "", kind: Kind::Gauge, text: String::with_capacity(8 * 1024) }
    }

    /// Begins a family, by its name without a suffix.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        (self.family, self.kind) = (name, kind);
        let word = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // in the older text a family has the name of its samples
        let name = format!("{name}{}", if self.version == Version::Prometheus { self.suffix() } else { "" });
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {word}"));
        if self.version == Version::OpenMetrics && name.ends_with("_seconds") {
            self.line(format_args!("# UNIT {name} seconds"));
        }
    }

    fn suffix(&self) -> &'static str {
        if self.kind == Kind::Counter { "_total" } else { "" }
    }

    pub fn sample(&mut self, labels: &[(&str, &str)], value: u64) {
        let (family, suffix, labels) = (self.family, self.suffix(), self.labels(labels));
        self.line(format_args!("{family}{suffix}{labels} {value}"));
    }

    pub fn seconds(&mut self, labels: &[(&str, &str)], value: Duration) {
        let (family, labels) = (self.family, self.labels(labels));
        self.line(format_args!("{family}{labels} {:?}", value.as_secs_f64()));
    }

    pub fn histogram(&mut self, histogram: &Histogram) {
        let family = self.family;
        let bounds = BOUNDS_US.iter().map(|us| format!("{:?}", Duration::from_micros(*us).as_secs_f64()));
        for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&histogram.cumulated) {
            let labels = self.labels(&[("le", &bound)]);
            self.line(format_args!("{family}_bucket{labels} {count}"));
        }
        let labels = self.labels(&[]);
        let count = histogram.cumulated.last().copied().unwrap_or_default();
        self.line(format_args!("{family}_count{labels} {count}"));
        self.line(format_args!("{family}_sum{labels} {:?}", Duration::from_micros(histogram.sum_us).as_secs_f64()));
    }

    pub fn end(mut self) -> String {
        if self.version == Version::OpenMetrics {
            self.line(format_args!("# EOF"));
        }
        self.text
    }

    fn labels(&self, labels: &[(&str, &str)]) -> String {
        let mut all = format!("{{location=\"{}\"", self.location);
        for (name, value) in labels {
            // writing into memory cannot fail
            let _ = write!(all, ",{name}=\"{value}\"");
        }
        all + "}"
    }

    fn line(&mut self, line: std::fmt::Arguments) {
        // writing into memory cannot fail
        let _ = writeln!(self.text, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_text_is_for_whoever_names_only_that() {
        let chosen = |accept: &str| Version::for_accept(Some(accept.as_bytes()));
        assert_eq!(Version::for_accept(None), Version::OpenMetrics);
        assert_eq!(chosen("*/*"), Version::OpenMetrics);
        assert_eq!(chosen("text/plain;version=0.0.4;q=0.5,*/*;q=0.1"), Version::Prometheus);
        assert_eq!(chosen("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"), Version::OpenMetrics);
    }

    #[test]
    fn a_label_cannot_leave_its_quotes() {
        let mut out = Exposition::new(Version::OpenMetrics, "^/a\"\\d+\n$");
        out.family("x", Kind::Counter, "An x.");
        out.sample(&[("a", "b")], 1);
        assert_eq!(
            out.end(),
            "# HELP x An x.\n# TYPE x counter\nx_total{location=\"^/a\\\"\\\\d+\\n$\",a=\"b\"} 1\n# EOF\n"
        );
    }
}
