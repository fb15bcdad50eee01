//! The HTTP endpoints: their routes, the rights they require, and their responses.

mod answer;
mod control;
pub(crate) mod echo;
pub(crate) mod hall;
pub(crate) mod host;
pub(crate) mod index;
mod learn;
mod lecture;
mod load;
mod mcp;
pub(crate) mod origin;
mod page;
pub(crate) mod presenter;
pub(crate) mod publish;
pub(crate) mod query;
mod respond;
pub(crate) mod response;
pub(crate) mod routes;
pub(crate) mod viewers;

pub(crate) use presenter::Presenter;
pub(crate) use respond::respond;
