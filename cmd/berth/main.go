// Command berth gives every deployment of an app its own sign-in.
package main

func main() {}
