#pragma once
#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>

#include "daemon/http/detail/session.hpp"
#include "daemon/http/tls.hpp"

namespace tally::http::detail {

/// TCP or Unix alike. Not `any_io_executor`: asking it costs every operation a little.
using Socket =
    boost::asio::basic_stream_socket<boost::asio::generic::stream_protocol, boost::asio::io_context::executor_type>;

std::unique_ptr<Session> plain_session(IoThread& thread, const Listener& listener, Peer peer, Slot slot, Socket socket);
std::unique_ptr<Session> tls_session(IoThread& thread, const Listener& listener, Peer peer, Slot slot, Socket socket,
                                     const TlsContext& context);

}  // namespace tally::http::detail
