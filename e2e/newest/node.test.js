import * as sdk from "@workos-inc/node";
import { nodeSuite } from "../clients/node.js";

nodeSuite(sdk, "11.0");
