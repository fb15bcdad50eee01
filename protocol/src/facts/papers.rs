//! The settings of published measurements, measured here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::result::Comparison;

/// What the experiment `papers` measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PapersFacts {
    /// Kaazing 2010: polling and WebSocket with short messages.
    pub kaazing: Comparison,
    /// Appelqvist and Ornmyr 2017: the transports of browsers with short messages.
    pub appelqvist: Comparison,
    /// Pimentel and Nickerson 2012: polling and WebSocket over a long distance.
    pub pimentel: Comparison,
    /// The pause between a response and the next poll in that measurement, in ms.
    pub pimentel_pause_ms: f64,
    /// RFC 6202: long polling and WebSocket over a modelled network.
    pub rfc_6202: Comparison,
    /// Mean time of a request and its response over that network, on an open connection, in ms.
    pub rfc_6202_exchange_ms: f64,
    /// Bozdag et al. 2007: polling and long polling, at the load of the paper.
    pub bozdag: Comparison,
    /// The same at a load that keeps this server busy.
    pub bozdag_busy: Comparison,
    /// Van de Vyvere et al. 2020: SSE.
    pub van_de_vyvere_sse: Comparison,
    /// The same load over polling, from the shortest poll interval to the longest.
    pub van_de_vyvere_polling: Vec<Comparison>,
    /// SignalR issue 2293: long polling and WebSocket, from the lowest offered rate to the highest.
    pub signalr: Vec<Comparison>,
}

impl PapersFacts {
    /// All rounds, in the order in which they were measured.
    pub fn comparisons(&self) -> Vec<&Comparison> {
        let single = [&self.kaazing, &self.appelqvist, &self.pimentel, &self.rfc_6202, &self.bozdag, &self.bozdag_busy];
        let sse = std::iter::once(&self.van_de_vyvere_sse);
        single.into_iter().chain(sse).chain(&self.van_de_vyvere_polling).chain(&self.signalr).collect()
    }
}
