// The one compiled copy of Beast (BOOST_BEAST_SEPARATE_COMPILATION is set on every target).
#include <boost/beast/src.hpp>
