//! Times graphs on another device.

use std::sync::Arc;

use mobilenas_record::run as record;
use mobilenas_space::ir::Graph;

use super::networks::REFERENCE;
use super::row::TableSource;
use super::timer::{BuildError, GROUP, NETS, Place, Timed, Timer};
use crate::on_device::{OnDevice, Say};

impl Timer for OnDevice<'_> {
    fn engine(&self) -> record::Engine {
        let r = self.session.record();
        let protocol = format!(
            "{} rounds, in each every block or network once and {REFERENCE} twice, in random order, each the {}; up to \
             {GROUP} blocks or {NETS} networks side by side; medians over rounds of the time over the round's {REFERENCE}",
            self.rounds,
            self.session.protocol()
        );
        record::Engine {
            name: r.engine(),
            version: r.version.clone(),
            precision: r.precision.clone(),
            threads: r.threads,
            batch: self.batch,
            protocol,
            table: None,
        }
    }

    fn place(&self) -> Place {
        Place { source: TableSource::Imported, host: None, device: Some(self.session.record().clone()) }
    }

    fn tell(&mut self, say: Say) {
        self.voice.set(say);
    }

    fn time(
        &mut self,
        graphs: &[Arc<Graph>],
        reference: &Arc<Graph>,
        _twice: bool,
        at: &dyn Fn(&str),
    ) -> Result<Option<Timed>, BuildError> {
        // The device's program repeats a network by itself: all its times are of warm caches.
        let (series, reference, seen) = self.rounds(graphs, reference, 2, at)?;
        Ok(Some(Timed { series, reference, seen: Some(seen) }))
    }
}
