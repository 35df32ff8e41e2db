//! What the TCP transporter puts on the wire, without sockets: frames around
//! packets, and the announcement that nodes send by UDP to find each other.

mod datagram;
mod frame;

pub use self::{
    datagram::{Announcement, AnnouncementError},
    frame::{
        DEFAULT_MAX_PACKET_SIZE, Frame, FrameDecoder, FrameError, HEADER_LEN, frame_header,
        put_frame,
    },
};
