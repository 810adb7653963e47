// Boost.Asio's non-template code (BOOST_ASIO_SEPARATE_COMPILATION), for programs that have it from
// nowhere else: from a static library it is only taken while its symbols are missing.
#include <boost/asio/impl/src.hpp>
