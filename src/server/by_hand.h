#pragma once
#include <string>

#include "server/config.h"

/// An upgrade by hand (docs/upgrade-by-hand.md): the one place that has its commands. `afloat demo --hands-on` prints
/// them, nodes answer them to the console.
namespace afloat::server {

struct ByHand {
  std::string url;       ///< of the site, through the balancer
  std::string user;      ///< who does it
  std::string password;  ///< "" = not in the script: by_hand_sign_in() asks for it
  std::string from, to;
  std::string program;  ///< "" = `afloat` is on the PATH
};

/// Shell functions (bash, curl, jq) with which a person upgrades the site without the conductor: balancer, agent and
/// node each through its own interface. Pasted or sourced once; then the commands below are called in order.
std::string by_hand_script(const SiteConfig& site, const ByHand& about);

/// The command that asks for the password. One of its own: pasted with others it would read the next of them.
std::string by_hand_sign_in(const std::string& user);
/// The command that brings one node to the new release, or back to the old one.
std::string by_hand_replace(const std::string& node);
std::string by_hand_replace_back(const std::string& node);

/// What the functions need and this site does not name, each as what was found, what it means, what to do; "" where
/// all is there.
std::string by_hand_obstacle(const SiteConfig& site);

}  // namespace afloat::server
