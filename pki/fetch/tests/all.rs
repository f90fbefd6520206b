//! One program for all of these: what they share is built once, and they run side by side.

mod common;

mod fetcher;
mod ftp;
mod http;
mod https;
mod ldap;
mod tftp;
